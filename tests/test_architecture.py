"""Importing changes nothing. The order of imports is held by `make lint`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]


def test_importing_the_command_reads_no_settings_and_makes_no_folder(tmp_path: Path) -> None:
    state = tmp_path / "state"
    environment = {**os.environ, "CREDITLENS_STATE": str(state), "CREDITLENS_CHUNK_ROWS": "nonsense"}
    done = subprocess.run(
        [sys.executable, "-c", "import flows.cli.main, flows.nightly"], env=environment, cwd=PROJECT, check=False
    )
    assert done.returncode == 0
    assert not state.exists()
