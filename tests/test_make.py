"""`make` that is killed while it makes an environment, and typed again."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.conftest import PROJECT

TARGET = ".venv-superset/installed"


def test_an_environment_whose_making_was_cut_short_is_made_anew(tmp_path: Path) -> None:
    shutil.copy(PROJECT / "Makefile", tmp_path)
    (tmp_path / "superset_assets").mkdir()
    (tmp_path / "superset_assets" / "requirements.txt").write_text("")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "VIRTUAL_ENV"))}
    python = str(Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}")
    command, environment = ["make", TARGET], {**kept, "PYTHON": python}
    killed = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, start_new_session=True
    )
    made = tmp_path / ".venv-superset" / "bin" / "python"
    deadline = time.monotonic() + 60
    while not made.exists():
        assert killed.poll() is None and time.monotonic() < deadline
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    assert not (tmp_path / TARGET).exists()
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / TARGET).exists()
    subprocess.run([made, "-m", "pip", "--version"], check=True, stdout=subprocess.DEVNULL)
    # One that is whole is used as it is when the requirements change, one that was being filled is not.
    mark = tmp_path / ".venv-superset" / "mark"
    for unfinished in (False, True):
        mark.touch()
        if unfinished:
            (tmp_path / ".venv-superset" / "unfinished").touch()
        os.utime(tmp_path / TARGET, (0, 0))
        subprocess.run(command, cwd=tmp_path, env=environment, check=True, stdout=subprocess.DEVNULL)
        assert mark.exists() is not unfinished
        assert not (tmp_path / ".venv-superset" / "unfinished").exists()


def test_where_no_python_fits_superset_everything_but_the_dashboards_is_set_up(tmp_path: Path) -> None:
    shutil.copy(PROJECT / "Makefile", tmp_path)
    for file in ("requirements.txt", "pyproject.toml", ".venv/installed"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    command = tmp_path / ".venv" / "bin" / "creditlens"
    command.parent.mkdir()
    command.write_text('#!/bin/sh\necho "creditlens $@"\n')
    command.chmod(0o755)
    (tmp_path / "flows").symlink_to(PROJECT / "flows")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "VIRTUAL_ENV"))}
    asked = ["make", "up", f"PYTHON={sys.executable}", "SUPERSET_PYTHON="]
    done = subprocess.run(
        asked, cwd=tmp_path, env={**kept, "CREDITLENS_STATE": str(tmp_path / "state")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first == "creditlens up --no-dashboards"
    assert second.startswith("No dashboards: Superset needs Python 3.11 or 3.12")
    assert not (tmp_path / ".venv-superset").exists()
