"""Machine code that is kept on disk is never older than what was compiled into it."""

from __future__ import annotations

import ast
import importlib
import inspect
import shutil
import subprocess
import sys
import typing
from pathlib import Path
from types import ModuleType

import lightgbm as lgb
import numpy as np
import pytest
from numba.core.dispatcher import Dispatcher

PROJECT = Path(__file__).resolve().parents[3]
COMPILED = ("scoring.explanation.kernels", "scoring.monitoring", "db.runs.copy")

EXPLAIN = """
import sys
import numpy as np
from scoring.explanation.treeshap import TreeShap
from scoring.explanation.lightgbm_text import parse_model
model = TreeShap(parse_model(open(sys.argv[1]).read()))
log_odds, contributions = model.explain(np.linspace(-2, 2, 800).reshape(200, 4), threads=1)
print(repr(float(np.abs(contributions).sum())))
"""


def kernels(module: ModuleType) -> dict[str, Dispatcher]:
    """The compiled loops of a module, and the one that is compiled at its first use."""
    found = dict(vars(module))
    if "_frame" in found:
        found["_frame"] = found["_frame"]()
    return {name: value for name, value in found.items() if isinstance(value, Dispatcher)}


@pytest.mark.parametrize("name", COMPILED)
def test_compiled_loops_take_nothing_from_other_modules_of_ours(name: str) -> None:
    module = importlib.import_module(name)
    found = kernels(module)
    assert found
    imported = {
        alias.asname or alias.name
        for node in ast.walk(ast.parse(inspect.getsource(module)))
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in {"scoring", "db", "flows"}
        for alias in node.names
    }
    for dispatcher in found.values():
        function = dispatcher.py_func
        assert function.__module__ == name
        assert imported.isdisjoint(function.__code__.co_names)
        tuples = [hint for hint in typing.get_type_hints(function).values() if hasattr(hint, "_fields")]
        assert {hint.__module__ for hint in tuples} <= {name}


def test_an_edited_constant_is_computed_with_at_once(tmp_path: Path) -> None:
    shutil.copytree(PROJECT / "scoring", tmp_path / "scoring", ignore=shutil.ignore_patterns("__pycache__"))
    random = np.random.default_rng(0)
    rows = random.normal(size=(500, 4))
    rows[::7, 0] = np.nan
    outcome = rows[:, 1] + np.nan_to_num(rows[:, 0]) > 0
    parameters = {"objective": "binary", "verbosity": -1, "num_leaves": 8, "num_threads": 1}
    booster = lgb.train(parameters, lgb.Dataset(rows, outcome.astype(int)), num_boost_round=10)
    booster.save_model(tmp_path / "model.txt")

    def explain() -> str:
        command = [sys.executable, "-c", EXPLAIN, str(tmp_path / "model.txt")]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        return done.stdout

    before = explain()
    assert explain() == before
    file = tmp_path / "scoring" / "explanation" / "kernels.py"
    code = file.read_text()
    assert "_ZERO = float(np.float32(1e-35))" in code
    file.write_text(code.replace("_ZERO = float(np.float32(1e-35))", "_ZERO = float(np.float32(0.5))"))
    edited = explain()
    for cache in list(tmp_path.rglob("__pycache__")):
        shutil.rmtree(cache)
    assert edited == explain() != before
