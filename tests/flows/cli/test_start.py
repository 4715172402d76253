"""What a command does not need it does not load: somebody waits for it."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

# Each takes a large part of a second, and more on a busy machine.
HEAVY = ("alembic", "dask", "lightgbm", "numba", "pandas", "prefect", "scipy", "shap", "sklearn")


def test_commands_start_without_what_only_nights_training_and_migrations_need() -> None:
    script = f"import sys, flows.cli.main; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_version_is_the_projects() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    done = subprocess.run(
        [sys.executable, "-m", "flows.cli", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"creditlens {project['version']}\n"
