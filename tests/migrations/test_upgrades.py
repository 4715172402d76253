"""Databases of every released version become this one's, and lose nothing; those of newer ones are refused."""

from __future__ import annotations

import lzma
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from typer.testing import CliRunner

from db import schema
from db.engine import make_engine, psql_url
from db.errors import RefusedError
from db.server import backup, clients
from db.server.embedded import OWNER, EmbeddedPostgres
from flows.operations import backups
from flows.operations.prepare import write_dictionary
from tests.installation import settings_of

RELEASED = Path(__file__).parent / "released"
# The schema's revision with which each was released.
VERSIONS = {"0.1.0": "0002", "0.2.0": "0002", "0.3.0": "0007"}
# What migrations add up anew or rename, and what the program's dictionary replaces.
_DICTIONARY = ("feature", "feature_category", "feature_group", "score_band", "suggested_decision")


@dataclass(frozen=True)
class Old:
    """A database of a released version that was migrated, and how many rows each table had before."""

    version: str
    engine: Engine
    before: dict[str, int]


def counts(engine: Engine) -> dict[str, int]:
    """Rows of every table of schema `credit` that holds some; partitions one by one."""
    with engine.connect() as connection:
        tables = connection.scalars(
            text("SELECT relname FROM pg_class WHERE relnamespace = 'credit'::regnamespace AND relkind = 'r'")
        ).all()
        found = {name: connection.scalar(text(f'SELECT count(*) FROM credit."{name}"')) for name in tables}
    return {name: rows for name, rows in found.items() if rows}


@pytest.fixture(scope="module")
def restored(
    postgres: EmbeddedPostgres, new_database: Callable[[], Engine], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Engine]]:
    """Makes a database of a version, as it was."""
    # The roles are there once a database was made.
    maintenance = new_database().execution_options(isolation_level="AUTOCOMMIT")
    made: list[Engine] = []

    def restore(version: str) -> Engine:
        name = f"released_{len(made)}"
        with maintenance.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name} OWNER {OWNER} TEMPLATE template0"))
        engine = make_engine(postgres.url(database=name))
        made.append(engine)
        script = tmp_path_factory.mktemp("released") / f"{version}.sql"
        script.write_bytes(lzma.decompress((RELEASED / f"{version}.sql.xz").read_bytes()))
        done = subprocess.run(
            [str(clients.psql(engine.url)), psql_url(engine.url), "-q", "-v", "ON_ERROR_STOP=1", "-f", str(script)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return engine

    yield restore
    for engine in made:
        engine.dispose()


@pytest.fixture(scope="module", params=VERSIONS)
def old(request: pytest.FixtureRequest, restored: Callable[[str], Engine]) -> Old:
    engine = restored(request.param)
    before = counts(engine)
    assert schema.current(engine) == VERSIONS[request.param]
    assert schema.upgrade(engine) is True
    write_dictionary(engine)
    return Old(request.param, engine, before)


def test_it_is_at_the_newest_revision_and_as_the_models_say(old: Old) -> None:
    schema.require_current(old.engine)
    schema.check(old.engine)
    assert schema.upgrade(old.engine) is False


def test_no_row_is_lost(old: Old) -> None:
    after = counts(old.engine)
    kept = {name: rows for name, rows in old.before.items() if name not in _DICTIONARY}
    assert len(kept) >= 8
    assert {name: after.get(name) for name in kept} == kept
    for name in ("feature", "feature_category"):
        assert after[name] >= old.before[name]


def test_its_customers_are_in_the_views(old: Old) -> None:
    with old.engine.connect() as connection:
        views = connection.scalars(
            text("SELECT table_name FROM information_schema.views WHERE table_schema = 'reporting' ORDER BY 1")
        ).all()
        for name in views:
            # Some want to be asked for one customer: all can be planned.
            connection.execute(text(f"EXPLAIN SELECT * FROM reporting.{name}"))
        told = ("customer", "run_history", "score_history", "model_card", "run_check")
        rows = {name: connection.scalar(text(f"SELECT count(*) FROM reporting.{name}")) for name in told}
        customers = connection.execute(text("SELECT customer_id, score FROM reporting.customer")).all()
        person = customers[0].customer_id
        reasons = connection.scalar(
            text(f"SELECT count(*) FROM reporting.customer_explanation WHERE customer_id = {person}")
        )
    with old.engine.connect() as connection:
        scores = dict(tuple(row) for row in connection.execute(text("SELECT customer_id, score FROM credit.score")))
    assert len(customers) == 20 and {row.customer_id: row.score for row in customers} == scores
    assert reasons == 128 and all(rows.values()), rows


def test_a_backup_that_an_older_version_made_comes_back_migrated(
    restored: Callable[[str], Engine],
    new_database: Callable[[], Engine],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = restored("0.3.0")
    file = tmp_path / "backup"
    backup.backup(before.url, file, revision=schema.current(before), superset_url=None)
    rows = counts(before)
    engine = new_database()
    settings = settings_of(monkeypatch, tmp_path / "state", psql_url(engine.url))
    found = backups.bring_back(settings, file, force=True)
    assert (found["outcome"], found["revision"]) == ("restored", schema.head())
    after = counts(engine)
    assert {name: after.get(name) for name in rows if name not in _DICTIONARY} == {
        name: count for name, count in rows.items() if name not in _DICTIONARY
    }


def test_a_database_of_a_newer_version_is_refused_in_one_sentence_and_left_as_it_is(
    new_database: Callable[[], Engine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.cli.main import app

    engine = new_database()
    with engine.begin() as connection:
        connection.execute(text("UPDATE creditlens_private.schema_version SET version_num = '9999'"))
    for ask in (schema.upgrade, schema.require_current):
        with pytest.raises(RefusedError, match="9999"):
            ask(engine)
    settings_of(monkeypatch, tmp_path / "state", psql_url(engine.url))
    for command in (["migrate"], ["backup", str(tmp_path / "file")]):
        refused = CliRunner().invoke(app, command)
        assert refused.exit_code == 2, refused.output
        [sentence] = [line for line in refused.output.splitlines() if "9999" in line]
        assert "a newer creditlens has used it" in sentence and "Traceback" not in refused.output
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT version_num FROM creditlens_private.schema_version")) == "9999"
