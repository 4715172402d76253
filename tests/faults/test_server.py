"""The server fails under a night: killed, stopped, frozen, its disk full. It is the tests' own, as is its disk."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg
import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from db import schema
from db.access import roles
from db.engine import make_engine, psql_url
from db.server.embedded import EmbeddedPostgres, new_password
from flows.operations.prepare import write_dictionary
from flows.settings import Settings
from tests.faults.conftest import Site, need, write_files
from tests.faults.nights import Night
from tests.faults.reader import Reader, Seen
from tests.faults.watch import Watch
from tests.installation import Installation

DISK_MB = 1_500
pytestmark = pytest.mark.timeout(900)


@dataclass
class OwnSite(Site):
    """A site whose server the tests may kill, and the disk that it lies on, if that could be had."""

    server: EmbeddedPostgres | None = None
    disk: Path | None = None

    @property
    def postgres(self) -> EmbeddedPostgres:
        assert self.server is not None
        return self.server

    @property
    def postmaster(self) -> psutil.Process:
        return psutil.Process(int((self.postgres.data / "postmaster.pid").read_text().split()[0]))


@pytest.fixture(scope="module")
def disk(open_folder: Path) -> Iterator[Path | None]:
    """A small file system of its own; None where we may not mount one."""
    folder = open_folder / "disk"
    folder.mkdir(mode=0o755)
    mounted = os.geteuid() == 0 and (
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m,mode=755", "tmpfs", str(folder)],
            check=False,
            capture_output=True,
        ).returncode
        == 0
    )
    yield folder if mounted else None
    if mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture(scope="module")
def own(
    prefect_api: str,
    open_folder: Path,
    disk: Path | None,
    reader_passwords: dict[str, str],
    make_reader: Callable[[Engine], Reader],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[OwnSite]:
    assert prefect_api
    server = EmbeddedPostgres((disk or open_folder) / "own-postgres", new_password(), new_password())
    engine = make_engine(server.start())
    schema.upgrade(engine)
    write_dictionary(engine)
    assert roles.ensure_readers(engine, reader_passwords)
    folder = tmp_path_factory.mktemp("own")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CREDITLENS_DATABASE_URL", psql_url(engine.url))
        patch.setenv("CREDITLENS_STATE", str(folder / "state"))
        patch.setenv("CREDITLENS_TRIALS", "0")
        patch.setenv("CREDITLENS_THREADS", "1")
        patch.setenv("CREDITLENS_CHUNK_ROWS", "2000")
        patch.setenv("CREDITLENS_RETAINED_RUNS", "2")
        from flows.training import training
        from scoring.sample import applications

        former = folder / "application_train.csv"
        applications(2_000, seed=1, labelled=True).write_csv(former)
        training([former])
        files = write_files(folder, 6_000)
        yield OwnSite(
            Installation(engine, Settings(), folder), files, make_reader(engine), server=server, disk=disk
        )
    engine.dispose()
    server.stop()


@pytest.fixture(scope="module")
def whole(own: OwnSite) -> dict[Path, Seen]:
    """What readers see of either file when nothing goes wrong; the second is what they see at first."""
    seen = {}
    for file in own.files:
        night = own.night(file)
        assert night.wait() == 0, night.errors
        seen[file] = own.reader.look()
    return seen


@pytest.fixture
def watch(own: OwnSite, whole: dict[Path, Seen]) -> Iterator[Watch]:
    made = Watch(own.installation.engine)
    made.begin()
    yield made
    made.close()


def shown(own: OwnSite, whole: dict[Path, Seen]) -> Path:
    """The file that readers see the whole run of."""
    seen = answered(own)
    return next(file for file, due in whole.items() if due == seen)


def answered(own: OwnSite, seconds: float = 60) -> Seen:
    """What readers see, once the server answers again."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return own.reader.look()
        except DBAPIError:
            assert time.monotonic() < deadline, "The server does not come back"
            own.reader.engine.dispose()
            time.sleep(0.2)


def other(own: OwnSite, file: Path) -> Path:
    return next(candidate for candidate in own.files if candidate != file)


def until(watch: Watch, night: Night, stage: str) -> None:
    while not watch.at(stage, watch.look()):
        assert night.running, night.errors


def failed_clearly(night: Night) -> str:
    """It ended with exit code 1, and one sentence for a person; that sentence."""
    assert night.wait(180) == 1, night.errors
    assert "Traceback" not in night.errors
    answer = night.answer
    assert answer["outcome"] == "failed"
    message = str(answer["message"])
    assert message and "\n" not in message
    return message


def published_without_a_hand(own: OwnSite, whole: dict[Path, Seen], file: Path) -> None:
    night = own.night(file)
    assert night.wait() == 0, night.errors
    assert answered(own) == whole[file]
    assert own.installation.value("SELECT count(*) FROM credit.scoring_run WHERE status = 'running'") == 0


def test_a_backend_killed_in_the_middle_of_a_copy(own: OwnSite, whole: dict[Path, Seen], watch: Watch) -> None:
    before = shown(own, whole)
    night = own.night(other(own, before))
    until(watch, night, "copy shap_value")
    with psycopg.connect(psql_url(own.installation.engine.url), autocommit=True) as connection:
        row = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE query LIKE 'COPY%shap_value%' AND pid <> pg_backend_pid()"
        ).fetchone()
    assert row is not None
    os.kill(row[0], signal.SIGKILL)
    message = failed_clearly(night)
    print(message)
    own.installation.engine.dispose()
    assert answered(own) == whole[before]
    published_without_a_hand(own, whole, other(own, before))


@pytest.mark.parametrize("stage", ["published", "copy shap_value"])
def test_the_server_killed_and_started_again_at_once(
    own: OwnSite, whole: dict[Path, Seen], watch: Watch, stage: str
) -> None:
    before = shown(own, whole)
    file = other(own, before)
    night = own.night(file)
    until(watch, night, stage)
    own.postmaster.send_signal(signal.SIGKILL)
    started = time.monotonic()
    own.postgres.start()
    print(f"started again in {time.monotonic() - started:.1f} s")
    own.installation.engine.dispose()
    assert answered(own) == whole[file if stage == "published" else before]
    if stage == "published":
        # It was published; whether the rest of the night noticed the server's death is all the same.
        assert night.wait() in {0, 1}, night.errors
        assert "Traceback" not in night.errors
    else:
        print(failed_clearly(night))
    published_without_a_hand(own, whole, before if stage == "published" else file)


def test_the_server_is_away_in_the_middle_of_a_night(
    own: OwnSite, whole: dict[Path, Seen], watch: Watch, seed: int, everything: bool
) -> None:
    before = shown(own, whole)
    file = other(own, before)
    stage = random.Random(seed).choice(
        ["survey", "check", "copy new_customer", "copy shap_value", "index", "audit"]
    )
    night = own.night(file)
    until(watch, night, stage)
    own.postgres.stop()
    stopped = time.monotonic()
    message = failed_clearly(night)
    print(f"away at {stage}: after {time.monotonic() - stopped:.0f} s: {message}")
    # Its retries are bounded.
    assert time.monotonic() - stopped < 60
    time.sleep(max(0.0, 60 - (time.monotonic() - stopped)) if everything else 0)
    own.postgres.start()
    own.installation.engine.dispose()
    assert answered(own) == whole[before]
    published_without_a_hand(own, whole, file)


def test_the_server_stands_still_for_a_minute_and_the_night_goes_on(
    own: OwnSite, whole: dict[Path, Seen], watch: Watch, everything: bool
) -> None:
    file = other(own, shown(own, whole))
    night = own.night(file)
    until(watch, night, "copy shap_value")
    family = [own.postmaster, *own.postmaster.children(recursive=True)]
    for process in family:
        process.suspend()
    time.sleep(60 if everything else 5)
    assert night.running
    for process in reversed(family):
        process.resume()
    assert night.wait() == 0, night.errors
    assert answered(own) == whole[file]


def test_a_full_disk_fails_the_night_in_a_sentence_and_the_old_run_is_served(
    own: OwnSite, whole: dict[Path, Seen], disk: Path | None
) -> None:
    need(disk, "Only root, where it may mount, can make a small disk and fill it.")
    assert disk is not None
    before = shown(own, whole)
    file = other(own, before)
    ballast = disk / "ballast"
    free = shutil.disk_usage(disk).free
    with ballast.open("wb") as output:
        os.posix_fallocate(output.fileno(), 0, free - (20 << 20))
    try:
        message = failed_clearly(own.night(file))
        assert re.search("No space left on device", message), message
        print(message)
        assert answered(own) == whole[before]
        last = own.installation.rows("SELECT status, message FROM credit.scoring_run ORDER BY run_id DESC LIMIT 1")
        assert last[0][0] == "failed"
        assert "No space left" in str(last[0][1])
    finally:
        ballast.unlink()
    published_without_a_hand(own, whole, file)


def test_a_test_that_cannot_run_fails_where_all_of_them_are_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setitem(need.__globals__, "EVERYTHING", False)
    need(True, "x")
    with pytest.raises(pytest.skip.Exception, match="Only root"):
        need(False, "Only root.")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="Only root"):
        need(False, "Only root.")
    monkeypatch.delenv("CI")
    monkeypatch.setitem(need.__globals__, "EVERYTHING", True)
    with pytest.raises(pytest.fail.Exception, match="CREDITLENS_FAULTS=all"):
        need(None, "Only root.")
