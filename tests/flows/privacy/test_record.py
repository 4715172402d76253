"""A restore of an older backup brings nobody back who was erased since, and says what it cannot know."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine

from db import unfinished_restore
from db.access import portfolios, roles
from db.engine import psql_url
from db.errors import BusyError
from db.superset.metadata import ensure_metadata_database
from flows.cli.operations import erasures_text
from flows.operations import backups
from flows.privacy import again as erasing_again
from flows.privacy import erase
from flows.privacy import record as erasure_record
from flows.services import database
from flows.settings import Settings
from tests.db import ledger
from tests.installation import settings_of
from tests.superset_fixture import share_readers

ERASED, OTHER, UNSEEN, LIMIT = 7, 8, 500_777, 10_000


@pytest.fixture(scope="module")
def source(
    engine: Engine, patch: pytest.MonkeyPatch, open_folder: Path, reader_passwords: dict[str, str]
) -> Settings:
    """Two nights of three customers, and a Superset that knows of one more, whom the database does not hold."""
    settings = settings_of(patch, open_folder / "erasing-source", psql_url(engine.url))
    share_readers(settings, reader_passwords)
    assert roles.ensure_writer(engine, settings.secrets()["writer"])
    model_id = ledger.new_model(engine)
    for day in range(2):
        ledger.night(engine, model_id, day=ledger.DAY + timedelta(days=day), sha256=str(day) * 64)
    with psycopg.connect(superset_of(settings)) as connection:
        connection.execute("CREATE TABLE logs (id serial PRIMARY KEY, json text)")
        # Not all that looks like a number of somebody erased is one: a limit stays, and is not counted.
        connection.execute("INSERT INTO logs (json) VALUES (%s)", [json.dumps({"row_limit": LIMIT})])
        for customer in (ERASED, OTHER, UNSEEN):
            look = {"look": {"queries": [{"filters": [{"col": "customer_id", "op": "==", "val": customer}]}]}}
            connection.execute("INSERT INTO logs (json) VALUES (%s)", [json.dumps(look)])
    return settings


def superset_of(settings: Settings) -> str:
    with database.database(settings) as engine:
        return psql_url(ensure_metadata_database(engine, settings.secrets()["superset"]))


@pytest.fixture(scope="module")
def file(source: Settings, open_folder: Path) -> Path:
    made = open_folder / "erasing.backup"
    backups.save(source, made)
    return made


@pytest.fixture(scope="module")
def restored(source: Settings, file: Path) -> dict[str, Any]:
    """What restoring says after two people were erased; no reader is let in before they are gone again."""
    for customer in (ERASED, UNSEEN, LIMIT):
        erase.erase(source, customer, by="petra")
        assert erase.search(source, customer).found == {}
    seen: list[str] = []
    once_more = erasing_again.erase_again

    def while_closed(*arguments: Any, **options: Any) -> int:
        try:
            with psycopg.connect(database.reader_url(source)) as reader:
                reader.execute("SELECT * FROM reporting.customer")
            seen.append("let in")
        except psycopg.Error as error:
            seen.append(type(error).__name__)
        return once_more(*arguments, **options)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(erasing_again, "erase_again", while_closed)
        found = backups.bring_back(source, file, force=True)
    return {**found, "seen": seen}


def test_who_was_erased_after_the_backup_is_erased_again_before_readers_are_let_in(
    source: Settings, restored: dict[str, Any]
) -> None:
    assert restored["erased_again"] == 2
    assert restored["erasures_known"] is True
    assert restored["seen"] == ["InsufficientPrivilege"]
    for customer in (ERASED, UNSEEN):
        assert erase.search(source, customer).found == {}
    assert erase.search(source, OTHER).found != {}
    with psycopg.connect(superset_of(source)) as connection:
        rows = connection.execute("SELECT json FROM logs WHERE json ~ 'look' ORDER BY id").fetchall()
        looks = [json.loads(row)["look"]["queries"][0]["filters"][0]["val"] for (row,) in rows]
    assert looks == [0, OTHER, 0]
    with psycopg.connect(database.reader_url(source)) as reader:
        assert reader.execute("SELECT customer_id FROM reporting.customer ORDER BY 1").fetchall() == [(8,), (9,)]
    assert erasures_text(restored).endswith("2 customers.")


def test_the_requests_are_recorded_again_where_they_were_lost(
    source: Settings, restored: dict[str, Any], engine: Engine
) -> None:
    with engine.connect() as connection:
        rows = connection.exec_driver_sql(
            "SELECT kind, requested_by, completed_at IS NOT NULL FROM credit.privacy_request"
        ).all()
    assert {tuple(row) for row in rows} == {("erase", f"restore of the backup of {restored['created_at']}", True)}
    assert len(rows) == 2


def test_the_record_holds_no_number_and_is_its_owners_only(source: Settings, restored: dict[str, Any]) -> None:
    path = erasure_record.path(source)
    assert path.stat().st_mode & 0o777 == 0o600
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["event"] for line in lines] == ["begun", *["erasing", "erased"] * 5]
    assert all(set(line) == {"event", "at", "customer_hash"} for line in lines)
    assert not [line for line in lines if line["customer_hash"] in {str(ERASED), str(UNSEEN)}]


def test_who_came_back_before_the_backup_stays(
    source: Settings, restored: dict[str, Any], engine: Engine, open_folder: Path
) -> None:
    erase.erase(source, 9, by="petra")
    # The backup says its time in whole seconds, and in doubt the person is erased.
    time.sleep(1)
    ledger.night(engine, ledger.new_model(engine, "b"), day=ledger.DAY + timedelta(days=9), sha256="9" * 64)
    later = open_folder / "later.backup"
    backups.save(source, later)
    found = backups.bring_back(source, later, force=True)
    assert (found["erased_again"], found["erasures_known"]) == (0, True)
    assert erase.search(source, 9).found != {}


def test_without_the_state_folder_a_restore_says_what_cannot_be_known(
    source: Settings, restored: dict[str, Any], file: Path, engine: Engine, patch: pytest.MonkeyPatch,
    open_folder: Path, reader_passwords: dict[str, str],
) -> None:  # fmt: skip
    lost = settings_of(patch, open_folder / "erasing-lost", psql_url(engine.url))
    share_readers(lost, reader_passwords)
    found = backups.bring_back(lost, file, force=True)
    assert (found["erased_again"], found["erasures_known"]) == (0, False)
    assert (found["erasures_unknown_from"], found["erasures_unknown_until"]) == (found["created_at"], None)
    assert "cannot be known" in erasures_text(found)
    # A record that another key wrote is no better, and one that began later knows of what came later only.
    erasure_record.path(lost).write_bytes(erasure_record.path(source).read_bytes())
    assert erasure_record.read(lost).since is None
    erasure_record.note(lost, "erased", ERASED)
    again = backups.bring_back(lost, file, force=True)
    assert (again["erased_again"], again["erasures_known"]) == (1, False)
    assert again["erasures_unknown_until"] is not None


def test_a_line_that_a_crash_cut_costs_that_line_only(open_folder: Path, patch: pytest.MonkeyPatch) -> None:
    settings = settings_of(patch, open_folder / "erasing-cut")
    erasure_record.note(settings, "erased", 1)
    with erasure_record.path(settings).open("a") as file:
        file.write('{"event": "eras')
    erasure_record.note(settings, "erasing", 2)
    record = erasure_record.read(settings)
    one, two = (erasure_record.customer_hash(settings, customer) for customer in (1, 2))
    assert set(record.erased) == {one, two}
    # Whose erasure did not end is erased again after every restore.
    assert record.later_than(datetime.now(UTC) + timedelta(days=1)) == {two}
    assert record.later_than(datetime.now(UTC) - timedelta(days=1)) == {one, two}


# --- restores that are cut short ------------------------------------------------------------------------------


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "flows.cli", *arguments],
        env=dict(os.environ), capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip


def kill_restore(settings: Settings, file: Path, when: Callable[[unfinished_restore.Unfinished], bool]) -> None:
    """Run `creditlens restore FILE --force`, and kill it once its mark says so."""
    with database.database(settings) as engine:
        process = subprocess.Popen([sys.executable, "-m", "flows.cli", "restore", str(file), "--force"])
        deadline = time.monotonic() + 120
        while True:
            try:
                found = unfinished_restore.unfinished(engine)
            except BusyError:
                found = None
            if found is not None and when(found):
                break
            assert process.poll() is None and time.monotonic() < deadline
        process.kill()
        process.wait()


@pytest.fixture
def again(
    source: Settings,
    restored: dict[str, Any],
    patch: pytest.MonkeyPatch,
    engine: Engine,
    reader_passwords: dict[str, str],
) -> Settings:
    """The source once more, of which customer 9 was erased too; other tests took its database over."""
    settings = settings_of(patch, source.state, psql_url(engine.url))
    assert portfolios.ensure_key(engine, settings.secrets()["viewer"])
    assert roles.ensure_readers(engine, reader_passwords)
    return settings


def seen_by_a_reader(settings: Settings) -> set[int] | str:
    try:
        with psycopg.connect(database.reader_url(settings)) as reader:
            return {number for (number,) in reader.execute("SELECT customer_id FROM reporting.customer").fetchall()}
    except psycopg.Error as error:
        return type(error).__name__


@pytest.mark.parametrize("compared", [False, True])
def test_a_restore_that_is_killed_keeps_readers_out_and_the_next_up_finishes_it(
    again: Settings, file: Path, compared: bool
) -> None:
    kill_restore(again, file, lambda found: found.compared or not compared)
    assert seen_by_a_reader(again) == "InsufficientPrivilege"
    others = [] if compared else [["status"], ["backup", str(file.with_suffix(".other"))], ["erase", "8", "--yes"]]
    for arguments in others:
        done = command(*arguments)
        assert done.returncode == 1
        assert "A restore was cut short" in done.stdout + done.stderr, arguments
        assert "Traceback" not in done.stderr
    # The first half of what `creditlens up` does.
    done = command("migrate")
    assert done.returncode == 0, done.stderr
    assert "Finishing the restore of the backup of" in done.stderr
    assert seen_by_a_reader(again) == {OTHER}
    for customer in (ERASED, UNSEEN):
        assert erase.search(again, customer).found == {}
    with psycopg.connect(superset_of(again)) as connection:
        assert connection.execute("SELECT count(*) FROM logs WHERE json ~ 'look'").fetchone() == (3,)


def test_a_restore_that_is_killed_and_whose_backup_is_gone_says_what_to_do(
    again: Settings, file: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "moved.backup"
    moved.write_bytes(file.read_bytes())
    kill_restore(again, moved, lambda found: not found.compared)
    moved.unlink()
    done = command("migrate")
    assert done.returncode == 1
    assert f"{moved} is not there any more; run `creditlens restore`" in done.stderr
    assert seen_by_a_reader(again) == "InsufficientPrivilege"
    # Without --force: what is there is no whole installation.
    done = command("restore", str(file))
    assert done.returncode == 0, done.stderr
    assert seen_by_a_reader(again) == {OTHER}


def test_what_only_the_database_knows_of_erasures_outlives_a_restore_over_it(again: Settings, file: Path) -> None:
    """A version that kept no record outside of the database, or a state folder that lost it."""
    erasure_record.path(again).unlink()
    found = backups.bring_back(again, file, force=True)
    assert found["erased_again"] == 3
    assert found["erasures_known"] is False
    assert seen_by_a_reader(again) == {OTHER}
    for customer in (ERASED, UNSEEN):
        assert erase.search(again, customer).found == {}
    # From now on the record knows it too.
    assert erasure_record.customer_hash(again, ERASED) in erasure_record.read(again).erased
