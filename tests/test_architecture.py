"""Imports point one way, and scoring is pure."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
ALLOWED = {
    "flows": {"flows", "db", "scoring"},
    "db": {"db"},
    "migrations": {"migrations", "db"},
    "scoring": {"scoring"},
}
IMPURE = {"os", "io", "pathlib", "prefect", "sqlalchemy", "psycopg", "subprocess", "socket", "tempfile", "pickle"}
MODULES = [path for package in ALLOWED for path in sorted((PROJECT / package).rglob("*.py"))]


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").split(".")[0])
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_a_module_imports_only_packages_below_its_own(path: Path) -> None:
    package = path.relative_to(PROJECT).parts[0]
    assert imported(path) & set(ALLOWED) <= ALLOWED[package]


@pytest.mark.parametrize("path", sorted((PROJECT / "scoring").rglob("*.py")), ids=lambda path: path.name)
def test_scoring_reads_no_files_no_database_and_no_environment(path: Path) -> None:
    assert not imported(path) & IMPURE
    calls = [
        node.func for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)
    ]
    assert "open" not in {call.id for call in calls if isinstance(call, ast.Name)}


def test_importing_the_command_reads_no_settings_and_makes_no_folder(tmp_path: Path) -> None:
    import os
    import subprocess
    import sys

    state = tmp_path / "state"
    environment = {**os.environ, "CREDITLENS_STATE": str(state), "CREDITLENS_CHUNK_ROWS": "nonsense"}
    done = subprocess.run(
        [sys.executable, "-c", "import flows.cli.main, flows.nightly"], env=environment, cwd=PROJECT, check=False
    )
    assert done.returncode == 0
    assert not state.exists()
