"""Logs are bounded while their writers go on, by every night and every start of a service."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from db.server.embedded import EmbeddedPostgres
from flows.services import logs, processes
from tests.installation import Installation

LIMIT = 1_000


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "LARGEST_BYTES", LIMIT)


def fill(path: Path, lines: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"line {number:04d}\n" for number in range(lines)))


def test_a_short_log_stays(tmp_path: Path) -> None:
    path = tmp_path / "superset.log"
    fill(path, LIMIT // 10)
    assert not logs.bound(path)
    assert not logs.bound(tmp_path / "none.log")
    assert path.stat().st_size == LIMIT
    assert [one.name for one in tmp_path.iterdir()] == ["superset.log"]


def test_of_a_long_log_the_last_whole_lines_are_kept_beside_it(tmp_path: Path) -> None:
    path, older = tmp_path / "superset.log", tmp_path / "superset.1.log"
    fill(path, 5 * LIMIT)
    path.chmod(0o600)
    assert logs.bound(path)
    assert path.read_text() == ""
    kept = older.read_text().splitlines()
    assert kept == [f"line {number:04d}" for number in range(5_000 - len(kept), 5_000)]
    assert LIMIT - 20 < older.stat().st_size <= LIMIT
    assert older.stat().st_mode & 0o777 == 0o600
    fill(path, 150)
    assert logs.bound(path)
    assert older.read_text().endswith("line 0149\n")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["superset.1.log", "superset.log"]


def test_a_service_goes_on_writing_where_its_log_was_emptied(tmp_path: Path) -> None:
    program = "import time\nfor n in range(10_000): print(f'line {n}', flush=True); time.sleep(0.002)"
    service = processes.Background("talker", tmp_path)
    service.start([sys.executable, "-c", program], {})
    try:
        for _ in range(3):
            wait_for(service.log, LIMIT + 1)
            assert logs.bound(service.log)
        wait_for(service.log, 200)
    finally:
        service.stop()
    # No hole where the file once was: the writer appends.
    assert b"\0" not in service.log.read_bytes()
    assert service.log.read_text().splitlines()[-1].startswith("line ")


def wait_for(path: Path, size: int) -> None:
    deadline = time.monotonic() + 20
    while path.stat().st_size < size:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_service_that_is_started_begins_with_a_bounded_log(tmp_path: Path) -> None:
    service = processes.Background("talker", tmp_path)
    fill(service.log, 300)
    service.start([sys.executable, "-c", "print('begun', flush=True)"], {})
    deadline = time.monotonic() + 20
    while "begun" not in service.log.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    service.stop()
    line, said = service.log.read_text().splitlines()
    assert line.startswith(logs.STARTED) and said == "begun"
    assert (tmp_path / "talker.1.log").exists()


def test_a_log_that_may_not_be_cut_stops_nothing(tmp_path: Path) -> None:
    path = tmp_path / "superset.log"
    fill(path, 300)
    (tmp_path / "superset.1.log").mkdir()
    (tmp_path / "superset.1.log" / "x").touch()
    assert not logs.bound(path)
    assert path.stat().st_size == 3_000


def test_a_night_bounds_every_log_and_the_servers(installation: Installation, files: tuple[Path, Path]) -> None:
    from flows.nightly import nightly
    from flows.training import training

    state = installation.settings.state
    paths = [state / "superset.log", state / "schedule.log", state / "postgres" / "postgres.log"]
    for path in paths:
        fill(path, 300)
    training([files[0]])
    nightly(files[1])
    assert [path.stat().st_size for path in paths] == [0, 0, 0]
    assert all(path.with_suffix(".1.log").exists() for path in paths)
    assert logs.bound_all(installation.settings) == []


def test_postgres_appends_to_its_log_as_the_others_do(postgres: EmbeddedPostgres) -> None:
    """What lets a log be emptied under its writer, asked of the running server."""
    log, flags = postgres.log, []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            for number in (process / "fd").iterdir():
                if os.readlink(number) == str(log):
                    flags.append(
                        int((process / "fdinfo" / number.name).read_text().split("flags:")[1].split()[0], 8)
                    )
        except OSError:
            continue
    assert flags and all(flag & os.O_APPEND for flag in flags)
