"""The files in which answers are kept."""

from __future__ import annotations

import subprocess
from pathlib import Path

from flows.services import superset
from flows.settings import PROJECT

PRUNES = """
import os, sys, time
sys.path.insert(0, sys.argv[2])
from superset_assets.server import published_cache
files = published_cache.Files(sys.argv[1], 20, default_timeout=60)
for number in range(30):
    files.set(f"new {number}", number)
    os.utime(files._get_filename(f"new {number}"), (time.time() - 30 + number,) * 2)
files.set("old", 1)
os.utime(files._get_filename("old"), (time.time() - 61,) * 2)
assert len(os.listdir(sys.argv[1])) == 31
files._pruned = float("-inf")
files.set("last", 1)
kept = [number for number in range(30) if files.get(f"new {number}") is not None]
assert kept == list(range(10, 30)), kept
assert files.get("old") is None
assert files.get("last") == 1
"""


def test_of_the_answers_in_files_the_old_and_the_supernumerary_go(tmp_path: Path) -> None:
    python = superset.ENVIRONMENT / "bin" / "python"
    subprocess.run([python, "-c", PRUNES, tmp_path, PROJECT], check=True)
