"""A file that is changed while a real night reads it: nothing of it is published."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from scoring.sample import applications
from tests.faults.conftest import Site

pytestmark = pytest.mark.timeout(600)


def rename_over(path: Path) -> None:
    other = path.with_name("other.csv")
    applications(1_500, seed=13, first_id=700_001).write_csv(other)
    other.replace(path)


def go_on_uploading(path: Path) -> None:
    with path.open("a") as file:
        file.write(applications(10, seed=14, first_id=710_001).write_csv(include_header=False))


def write_into(path: Path) -> None:
    """As many bytes, and the old time: only the digests of the chunks tell."""
    before, content = path.stat(), path.read_bytes()
    half = len(content) // 2
    with path.open("r+b") as file:
        file.write(content[:half] + content[half:].replace(b"Cash loans", b"Bash loans"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (rename_over, "was replaced by another file while it was read"),
        (go_on_uploading, "was changed while it was read"),
        (write_into, "was changed while it was read"),
    ],
    ids=lambda part: getattr(part, "__name__", ""),
)
def test_a_file_that_is_changed_in_the_middle_of_a_night_is_refused_and_readers_keep_the_last_one(
    site: Site, tmp_path: Path, change: Callable[[Path], None], said: str
) -> None:
    if not site.reader.run_id:
        assert site.night(site.files[0]).wait() == 0
    path = tmp_path / "applications.csv"
    applications(2_000, seed=11, first_id=600_001).write_csv(path)
    before = site.reader.look()
    night = site.night(path, "--force", CREDITLENS_CHUNK_ROWS="10", CREDITLENS_THREADS="1")
    deadline = time.monotonic() + 300
    while not night.noted:
        assert night.running and time.monotonic() < deadline, night.errors
    assert night.freeze()
    change(path)
    night.thaw()
    assert night.wait(300) == 2, night.errors
    assert night.answer["outcome"] == "refused"
    assert str(path) in str(night.answer["message"]) and said in str(night.answer["message"])
    assert site.reader.look() == before
    owner = site.installation
    assert owner.value("SELECT status FROM credit.scoring_run ORDER BY run_id DESC LIMIT 1") == "refused"
