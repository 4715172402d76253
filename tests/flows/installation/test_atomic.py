"""Files appear whole or not at all: killed writers, several at once, a disk that refuses."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flows.installation import atomic

WRITER = """
import sys
from pathlib import Path
from flows.installation import atomic
with atomic.writing(Path(sys.argv[1])) as file:
    file.write(b"half of it")
    file.flush()
    print("writing", flush=True)
    sys.stdin.read()
"""


def start_writer(path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    return process


def end(process: subprocess.Popen[str], *, kill: bool) -> None:
    assert process.stdin is not None and process.stdout is not None
    if kill:
        process.kill()
    process.stdin.close()
    process.wait()
    process.stdout.close()


def age(folder: Path) -> None:
    """Make everything in the folder older than a file that was made just now."""
    for path in folder.iterdir():
        os.utime(path, (time.time() - 3600,) * 2)


def test_the_file_has_the_content_and_no_other_stays(tmp_path: Path) -> None:
    path = tmp_path / "night.json"
    for content in ("one", b"two"):
        atomic.write(path, content)
    assert path.read_bytes() == b"two"
    assert [file.name for file in tmp_path.iterdir()] == ["night.json"]


def test_its_mode_is_that_of_the_caller_limited_by_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        atomic.write(tmp_path / "secret", "x", mode=0o600)
        atomic.write(tmp_path / "open", "x")
    finally:
        os.umask(before)
    modes = [(tmp_path / name).stat().st_mode & 0o777 for name in ("secret", "open")]
    assert modes == [0o600, 0o640]


def test_a_block_that_fails_leaves_the_old_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "night.json"
    atomic.write(path, "old")

    def fail_half_way() -> None:
        with atomic.writing(path) as file:
            file.write(b"half")
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left on device"):
        fail_half_way()
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["night.json"]


def test_two_writers_at_once_each_write_their_own_file_and_the_last_one_wins(tmp_path: Path) -> None:
    path = tmp_path / "night.json"
    first = start_writer(path)
    age(tmp_path)
    atomic.write(path, "the second")
    assert path.read_text() == "the second"
    end(first, kill=False)
    assert first.returncode == 0
    assert path.read_text() == "half of it"


def test_what_a_killed_writer_left_goes_with_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "night.json"
    killed = start_writer(path)
    end(killed, kill=True)
    assert killed.returncode == -signal.SIGKILL
    assert not path.exists()
    (tmp_path / "night.partial").write_text("of a version before 0.4")
    (tmp_path / ".other.json.0123.partial").write_text("not ours")
    atomic.write(path, "young ones may be about to be locked")
    assert len(list(tmp_path.iterdir())) == 4
    age(tmp_path)
    atomic.write(path, "new")
    assert sorted(file.name for file in tmp_path.iterdir()) == [".other.json.0123.partial", "night.json"]
