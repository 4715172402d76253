"""What a command does not need it does not load: somebody waits for it."""

from __future__ import annotations

import subprocess
import sys

# Each takes a large part of a second, and more on a busy machine.
HEAVY = ("alembic", "dask", "lightgbm", "numba", "pandas", "prefect", "scipy", "shap", "sklearn")


def test_commands_start_without_what_only_nights_training_and_migrations_need() -> None:
    script = f"import sys, flows.cli.main; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
