"""Backup and restore between real servers: the embedded one, an empty new one, and an older foreign one."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Engine, text
from typer.testing import CliRunner

from db.access import roles
from db.engine import make_engine, parse_url, psql_url
from db.errors import RefusedError
from db.runs import ledger as run_ledger
from db.server import backup, restore
from db.server import manifest as manifests
from db.server.embedded import EmbeddedPostgres
from db.superset import access_log
from db.superset.metadata import ensure_metadata_database
from flows.cli.main import app
from flows.operations import backups
from flows.services import database, superset
from flows.settings import Settings
from tests.db import ledger
from tests.db.server.survey import survey
from tests.flows.cli.json_schema import checked
from tests.installation import settings_of

LOOK = (
    "ChartDataRestApi.data",
    json.dumps(
        {
            "look": {
                "format": "json",
                "queries": [{"filters": [{"col": "customer_id", "op": "==", "val": 7}], "expressions": []}],
            }
        }
    ),
)


@pytest.fixture(scope="module")
def source(engine: Engine, patch: pytest.MonkeyPatch, open_folder: Path) -> Settings:
    """Three nights of which one is retired, refused rows, a former customer, and a database of Superset."""
    settings = settings_of(patch, open_folder / "backup-source", psql_url(engine.url))
    assert roles.ensure_writer(engine, settings.secrets()["writer"])
    model_id = ledger.new_model(engine)
    for day in range(3):
        ledger.night(engine, model_id, day=ledger.DAY + timedelta(days=day), sha256=str(day) * 64)
    run_ledger.retire(engine, retained_runs=2)
    run_id = ledger.open_run(engine, model_id)
    row = {"row_number": 1, "customer_id": "12", "column_name": "AMT_CREDIT", "rule": "number", "value": "é\t\\N"}
    run_ledger.record_input(engine, run_id, [row], {("NAME_TYPE_SUITE", "Ünknown"): 3}, accepted=2, rejected=1)
    run_ledger.close_unpublished(engine, run_id, status="refused", message="x")
    url = ensure_metadata_database(engine, settings.secrets()["superset"])
    with psycopg.connect(psql_url(url)) as connection:
        # What the log of who looked at whom is made from, in Superset's words.
        connection.execute(
            "CREATE TABLE ab_user (id int PRIMARY KEY, username varchar);"
            "CREATE TABLE dashboards (id int PRIMARY KEY, dashboard_title varchar);"
            "CREATE TABLE slices (id int PRIMARY KEY, slice_name varchar);"
            "CREATE TABLE tables (id int PRIMARY KEY, table_name varchar, params json);"
            "INSERT INTO tables VALUES (1, 'customer_score', '{}');"
            "CREATE TABLE query (id int PRIMARY KEY, client_id varchar, user_id int, start_time numeric, sql text,"
            " status varchar);"
            "CREATE TABLE logs (id serial PRIMARY KEY, action varchar, user_id int, dashboard_id int,"
            " dttm timestamp, json text)"
        )
        connection.execute("INSERT INTO ab_user VALUES (1, 'olga')")
        connection.execute("INSERT INTO logs (json) SELECT 'look ' || n FROM generate_series(1, 50) n")
        connection.execute("INSERT INTO logs (action, user_id, dttm, json) VALUES (%s, 1, now(), %s)", LOOK)
    access_log.make(url)
    return settings


@pytest.fixture(scope="module")
def file(source: Settings, open_folder: Path) -> Path:
    made = open_folder / "creditlens.backup"
    saved = backups.save(source, made)
    assert saved["superset"] is True
    assert saved["rows"] > 100
    return made


@pytest.fixture(scope="module")
def target(patch: pytest.MonkeyPatch, open_folder: Path, file: Path) -> Iterator[Settings]:
    """A new installation with a server of its own."""
    made = settings_of(patch, open_folder / "backup-target")
    yield made
    made.embedded().stop()


def test_a_backup_is_for_its_owner_only_and_holds_no_password(file: Path, source: Settings) -> None:
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in file.parent.iterdir() if path.name.startswith(f".{file.name}")] == []
    content = file.read_bytes()
    assert not [secret for secret in source.secrets().values() if secret.encode() in content]
    assert b"SCRAM-SHA-256" not in content


def test_a_backup_leaves_no_error_in_the_log_of_the_server(file: Path, postgres: EmbeddedPostgres) -> None:
    assert file.exists()
    said = postgres.log.read_text()
    assert not [line for line in said.splitlines() if "ERROR" in line and "hash" in line]


def test_a_backup_replaces_no_file(file: Path, source: Settings) -> None:
    with pytest.raises(RefusedError, match="exists"):
        backups.save(source, file)


def test_what_a_killed_backup_left_goes_with_the_next_one(source: Settings, open_folder: Path) -> None:
    """Only what is surely a killed backup's: not the parts of one that runs, and no folder with anything else."""
    folder = open_folder / "killed-backups"
    folder.mkdir()
    locked = (
        "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX); print(); sys.stdin.read()"
    )
    hours = {"killed": 1, "old03": 48, "young03": 1, "running": 48, "mine": 48}
    for name, age in hours.items():
        parts = folder / f".{name}.backup.x1y2z3"
        parts.mkdir()
        for part in ("creditlens.dump", *(["lock"] if name in {"killed", "running"} else [])):
            (parts / part).write_text("half of a dump")
            os.utime(parts / part, (time.time() - 3600 * age,) * 2)
    (folder / ".mine.backup.x1y2z3" / "diary").write_text("mine")
    lock = str(folder / ".running.backup.x1y2z3" / "lock")
    running = subprocess.Popen(
        [sys.executable, "-c", locked, lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with running:
        assert running.stdout is not None and running.stdout.readline() == "\n"
        os.utime(lock, (time.time() - 3600 * 48,) * 2)
        backups.save(source, folder / "new.backup")
        assert sorted(path.name.split(".")[1] for path in folder.iterdir() if path.is_dir()) == [
            "mine", "running", "young03",
        ]  # fmt: skip
        assert running.stdin is not None
        running.stdin.close()


def test_a_backup_that_fails_leaves_no_file(source: Settings, tmp_path: Path, engine: Engine) -> None:
    with pytest.raises(manifests.BackupError, match="no matching schemas"):
        backup._dump(engine.url, tmp_path / "x", ("nowhere",), all_schemas=False)
    with pytest.raises(FileNotFoundError):
        backups.save(source, tmp_path / "no" / "folder")


def test_everything_comes_back_on_an_empty_server(file: Path, target: Settings, engine: Engine) -> None:
    found = backups.bring_back(target, file, force=False)
    assert found["seconds"] < 60
    assert found["grants"] > 20
    with database.database(target) as other:
        assert restore.differences(other.url, restore.read_manifest(file).data, manifests.SCHEMAS) == []
        with other.connect() as connection, engine.connect() as saved:
            for query in (
                "SELECT count(*), sum(score) FROM reporting.customer",
                "SELECT count(*), sum(contribution) FROM credit.shap_value",
                "SELECT value FROM credit.rejected_application",
                "SELECT run_id, customer_id, log_odds FROM credit.past_score ORDER BY 1, 2",
                "SELECT artefact_sha256, artefact FROM credit.model_version",
            ):
                assert connection.execute(text(query)).all() == saved.execute(text(query)).all()
        # The next night finds its numbers, partitions and keys.
        model_id = ledger.new_model(other, "b")
        assert ledger.night(other, model_id, day=ledger.DAY + timedelta(days=9), sha256="9" * 64) == 5
    with psycopg.connect(database.reader_url(target)) as reader:
        assert reader.info.user == roles.ANALYST
        assert reader.execute("SELECT count(*) FROM reporting.customer").fetchone() == (3,)
        assert reader.execute("SHOW statement_timeout").fetchone() == ("30s",)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute("SELECT * FROM credit.score")


def test_supersets_own_database_comes_back(file: Path, target: Settings) -> None:
    with database.database(target) as engine:
        url = superset.existing_metadata_url(target, engine)
        assert url is not None
        with psycopg.connect(psql_url(url)) as connection:
            logs = connection.execute("SELECT count(*), max(json) FROM logs WHERE action IS NULL")
            assert logs.fetchone() == (50, "look 9")


def test_a_database_that_holds_something_is_replaced_with_force_only(file: Path, target: Settings) -> None:
    with pytest.raises(RefusedError, match="--force"):
        backups.bring_back(target, file, force=False)
    with database.database(target) as engine:
        assert len(restore.differences(engine.url, restore.read_manifest(file).data, manifests.SCHEMAS)) > 0
    backups.bring_back(target, file, force=True)
    with database.database(target) as engine:
        assert restore.differences(engine.url, restore.read_manifest(file).data, manifests.SCHEMAS) == []


def test_who_looked_at_whom_is_known_right_after_a_restore(file: Path, target: Settings) -> None:
    for _ in range(2):
        done = CliRunner().invoke(app, ["access-log", "--customer", "7", "--json"])
        assert done.exit_code == 0, done.stderr
        (look,) = checked("access-log", done.stdout)["rows"]
        assert (look["username"], look["kind"], look["customer_id"]) == ("olga", "view", 7)
        # Over what is there, a restore takes it away and makes it again.
        backups.bring_back(target, file, force=True)
    assert parse_url(superset.compliance_url(target)).username == access_log.READER


def test_a_database_of_superset_without_its_tables_comes_back_too(
    file: Path, target: Settings, engine: Engine, source: Settings, open_folder: Path
) -> None:
    """Setting the dashboards up may have failed just after the database was made."""
    url = ensure_metadata_database(engine, source.secrets()["superset"])
    with psycopg.connect(psql_url(url)) as connection:
        connection.execute("ALTER TABLE query RENAME TO elsewhere")
    try:
        backups.save(source, open_folder / "no-tables.backup")
    finally:
        with psycopg.connect(psql_url(url)) as connection:
            connection.execute("ALTER TABLE elsewhere RENAME TO query")
    backups.bring_back(target, open_folder / "no-tables.backup", force=True)
    backups.bring_back(target, file, force=True)


def test_a_damaged_file_is_refused_and_changes_nothing(file: Path, target: Settings, tmp_path: Path) -> None:
    with tarfile.open(file) as tar:
        largest = max(tar.getmembers(), key=lambda member: member.size)
    content = bytearray(file.read_bytes())
    # Where it counts, and not between two members.
    content[largest.offset_data + largest.size // 2] ^= 1
    damaged = tmp_path / "damaged"
    damaged.write_bytes(content)
    cut = tmp_path / "cut"
    cut.write_bytes(file.read_bytes()[:-30_000])
    for broken, reason in ((damaged, "SHA-256"), (cut, "cut")):
        with pytest.raises(RefusedError, match=reason):
            backups.bring_back(target, broken, force=True)
    text_file = tmp_path / "text"
    text_file.write_text("no backup")
    with pytest.raises(RefusedError, match="no backup"):
        backups.bring_back(target, text_file, force=True)
    with database.database(target) as engine:
        assert restore.differences(engine.url, restore.read_manifest(file).data, manifests.SCHEMAS) == []


def repacked(file: Path, made: Path, **changes: object) -> Path:
    """The same backup with another manifest."""
    with tarfile.open(file) as old, tarfile.open(made, "w") as new:
        for member in old:
            content = old.extractfile(member)
            assert content is not None
            data = content.read()
            if member.name == manifests.MANIFEST:
                data = json.dumps({**json.loads(data), **changes}).encode()
                member.size = len(data)
            new.addfile(member, io.BytesIO(data))
    return made


def test_a_backup_of_a_newer_program_is_refused(file: Path, target: Settings, tmp_path: Path) -> None:
    for changes, reason in (({"revision": "9999"}, "does not know"), ({"format": 2}, "format 2")):
        with pytest.raises(RefusedError, match=reason):
            backups.bring_back(target, repacked(file, tmp_path / reason, **changes), force=True)


def test_a_difference_is_seen(file: Path, target: Settings) -> None:
    manifest = restore.read_manifest(file)
    with database.database(target) as engine:
        with engine.begin() as connection:
            connection.execute(text("UPDATE credit.past_score SET percentile = 50 WHERE customer_id = 7"))
            connection.execute(text("DELETE FROM credit.score_band WHERE minimum_score = 0"))
            connection.execute(text(f"GRANT SELECT ON credit.score TO {roles.ANALYST}"))
            connection.execute(text(f"ALTER ROLE {roles.DASHBOARD} RESET statement_timeout"))
        said = " ".join(restore.differences(engine.url, manifest.data, manifests.SCHEMAS))
        assert "credit.past_score has other values" in said
        assert "credit.score_band has" in said
        said = " ".join(restore.access_differences(engine.url, manifest))
        assert f"{roles.ANALYST} may SELECT on relation credit.score, which was not saved" in said
        assert f"role {roles.DASHBOARD} is not as it was saved" in said


def test_a_restore_that_fails_half_way_leaves_the_database_as_it_was(file: Path, target: Settings) -> None:
    manifest = restore.read_manifest(file)
    with database.database(target) as engine:
        before = survey(engine.url)
        with pytest.raises(manifests.BackupError, match="Nothing was restored"):
            # The views are gone when the tables turn out to be there still.
            restore._restore(engine.url, file, manifest.data, "DROP SCHEMA reporting CASCADE;", "")
        assert survey(engine.url) == before


def test_an_older_server_takes_a_backup_too(
    foreign_postgres: str, file: Path, patch: pytest.MonkeyPatch, open_folder: Path
) -> None:
    other = settings_of(patch, open_folder / "backup-foreign", foreign_postgres)
    backups.bring_back(other, file, force=False)
    again = open_folder / "foreign.backup"
    backups.save(other, again)
    with database.database(other) as engine, engine.connect() as connection:
        assert connection.dialect.server_version_info < (18,)
        assert connection.scalar(text("SELECT count(*) FROM reporting.customer")) == 3
    here, there = restore.read_manifest(file), restore.read_manifest(again)
    assert here.data.tables == there.data.tables
    assert here.grants == there.grants
    assert make_engine(foreign_postgres).url.database == there.data.database
