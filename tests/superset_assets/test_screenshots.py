"""`make screenshots` says what it takes and what is missing before it makes anything."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]


def screenshots(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "superset_assets.screenshots.take", *arguments],
        cwd=PROJECT, env={**os.environ, **environment}, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def test_what_is_missing_is_said_at_once_after_what_it_takes(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = screenshots("--to", str(tmp_path / "file" / "pictures"), CREDITLENS_CHROMIUM="no-such-browser")
    assert done.returncode == 2
    assert "minutes" in done.stdout and "browser" in done.stdout
    assert "no-such-browser was not found" in done.stderr
    assert f"You may not write in {tmp_path / 'file'}" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_picture_that_does_not_exist_is_refused_and_help_names_those_that_do() -> None:
    assert screenshots("--only", "nothing").returncode == 2
    assert "portfolio-drift" in screenshots("--help").stdout
