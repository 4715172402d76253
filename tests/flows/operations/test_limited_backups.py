"""Backup and restore while advisors are held to their own customers: nothing is lost, and the limits hold."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from db.access import portfolios, roles
from db.engine import connect, psql_url, transaction
from db.server import backup, manifest, restore
from db.server.embedded import SUPERUSER, EmbeddedPostgres, new_password
from flows.operations import backups
from flows.services import database
from flows.settings import Settings
from tests import portfolio
from tests.db import ledger
from tests.db.server.survey import survey
from tests.installation import settings_of

OWN = 7
EVERYBODY = {7, 8, 9}
VIEWS = ("customer", "worklist", "customer_explanation", "customer_timeline", "decision", "review")


@pytest.fixture(scope="module")
def source(engine: Engine, patch: pytest.MonkeyPatch, open_folder: Path) -> Settings:
    """Two nights of three customers, all in region 1; alice has one of them, bob the region, carol nobody."""
    settings = settings_of(patch, open_folder / "limited-source", psql_url(engine.url))
    assert roles.ensure_writer(engine, settings.secrets()["writer"])
    assert portfolios.ensure_key(engine, settings.secrets()["viewer"])
    model_id = ledger.new_model(engine)
    for day in (1, 2):
        ledger.night(engine, model_id, day=ledger.DAY.replace(day=day), sha256=str(day) * 64)
    with transaction(engine) as connection:
        portfolio.decide(connection, EVERYBODY)
    portfolio.assign(engine, "alice", customers=[OWN], by="test")
    portfolio.assign(engine, "bob", regions=[1], by="test")
    portfolios.switch(engine, limited=True, by="test")
    return settings


@pytest.fixture(scope="module")
def file(source: Settings, open_folder: Path) -> Path:
    made = open_folder / "limited.backup"
    backups.save(source, made)
    return made


@pytest.fixture(scope="module")
def target(patch: pytest.MonkeyPatch, open_folder: Path, file: Path) -> Iterator[Settings]:
    """A new installation with a server and keys of its own, into which the backup was restored."""
    made = settings_of(patch, open_folder / "limited-target")
    try:
        backups.bring_back(made, file, force=False)
        yield made
    finally:
        made.embedded().stop()


def looking(key: str, username: str, **more: bool) -> Callable[[int], str]:
    """What the dashboards say of who looks, for the connection of a server process."""
    return lambda backend: portfolio.sign(key, username, backend, **more)


def seen(
    settings: Settings, viewer: Callable[[int], str] | None, view: str = "customer", role: str = roles.DASHBOARD
) -> set[int]:
    """Customers that a view shows, asked with this setting of who looks."""
    with psycopg.connect(database.reader_url(settings, role)) as connection:
        if viewer is not None:
            said = viewer(connection.info.backend_pid)
            connection.execute("SELECT set_config(%s, %s, false)", [portfolios.SETTING, said])
        if view == "customer_timeline":
            return {
                customer
                for customer in EVERYBODY
                if connection.execute(
                    "SELECT 1 FROM reporting.customer_timeline WHERE customer_id = %s", [customer]
                ).fetchone()
            }
        return {one for (one,) in connection.execute(f"SELECT customer_id FROM reporting.{view}".encode())}


def test_a_backup_holds_every_row_of_everybody(file: Path, engine: Engine, postgres: EmbeddedPostgres) -> None:
    """The one who dumps owns the tables, which row security does not hold; a superuser sees the same."""
    everything = survey(postgres.url(SUPERUSER, database=engine.url.database or ""))
    saved = restore.read_manifest(file).data.tables
    assert saved == everything
    assert sum(state.rows for name, state in saved.items() if name.startswith("credit.score_r")) == 6


def test_who_is_held_by_row_security_gets_no_backup_instead_of_a_part(
    source: Settings, engine: Engine, postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    password = new_password()
    url = postgres.url(SUPERUSER, database=engine.url.database or "")
    with psycopg.connect(psql_url(url), autocommit=True) as server:
        server.execute(f"CREATE ROLE creditlens_copier LOGIN PASSWORD '{password}'".encode())
        try:
            server.execute(f"GRANT CONNECT ON DATABASE {engine.url.database} TO creditlens_copier".encode())
            for schema in manifest.SCHEMAS:
                server.execute(f"GRANT USAGE ON SCHEMA {schema} TO creditlens_copier".encode())
                server.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO creditlens_copier".encode())
                server.execute(f"GRANT EXECUTE ON ALL ROUTINES IN SCHEMA {schema} TO creditlens_copier".encode())
                server.execute(f"GRANT SELECT ON ALL SEQUENCES IN SCHEMA {schema} TO creditlens_copier".encode())
            copier = engine.url.set(username="creditlens_copier", password=password)
            with pytest.raises(manifest.BackupError, match="row-level security"):
                backup.backup(copier, tmp_path / "part", revision=None, superset_url=None)
            assert list(tmp_path.iterdir()) == []
        finally:
            server.execute("DROP OWNED BY creditlens_copier")
            server.execute("DROP ROLE creditlens_copier")


def test_limits_and_assignments_come_back_and_hold(source: Settings, target: Settings, engine: Engine) -> None:
    with database.database(target) as restored:
        assert portfolios.state(restored) == portfolios.state(engine)
        assert portfolios.state(restored).limited
        assert portfolios.assignments(restored) == portfolios.assignments(engine)
        with connect(restored) as connection:
            assert portfolios.obstacle(connection) is None
    key = target.secrets()["viewer"]
    assert key != source.secrets()["viewer"]
    for view in VIEWS:
        assert seen(target, looking(key, "alice"), view) == {OWN}, view
        assert seen(target, looking(key, "bob"), view) == EVERYBODY, view
        assert seen(target, looking(key, "carol"), view) == set(), view
        assert seen(target, None, view) == set(), view
        # Signed by the installation that was saved, whose key is in no backup.
        assert seen(target, looking(source.secrets()["viewer"], "alice"), view) == set(), view
        assert seen(target, looking(key, "ann", everybody=True), view) == EVERYBODY, view
        assert seen(target, None, view, roles.ANALYST) == EVERYBODY, view


def test_what_people_decided_comes_back_is_added_to_and_never_changed(target: Settings, engine: Engine) -> None:
    tables = ("decision", "review", "review_conclusion")
    with database.database(target) as restored:
        for table in tables:
            rows = f"SELECT to_jsonb(t)::text FROM credit.{table} AS t ORDER BY 1"
            with connect(restored) as after, connect(engine) as before:
                assert after.scalars(text(rows)).all() == before.scalars(text(rows)).all()
        for table in tables[:2]:
            for change in (f"DELETE FROM credit.{table}", f"UPDATE credit.{table} SET customer_id = 1"):
                with pytest.raises(DBAPIError, match="never changed"), transaction(restored) as connection:
                    connection.execute(text(change))
    with psycopg.connect(database.reader_url(target, roles.DECIDER)) as decider:
        signed = looking(target.secrets()["viewer"], "alice")(decider.info.backend_pid)
        decider.execute("SELECT set_config(%s, %s, false)", [portfolios.SETTING, signed])
        (asked,) = decider.execute(
            "SELECT credit.record_human_act('conclude', %s, %s)",
            [OWN, json.dumps({"review_id": review_of(target, OWN), "outcome": "upheld", "conclusion": "So."})],
        ).fetchone() or (None,)
        decider.commit()
        assert asked == review_of(target, OWN)
        with pytest.raises(psycopg.Error, match="not_yours"):
            decider.execute("SELECT credit.record_human_act('conclude', 8, '{}')")


def review_of(settings: Settings, customer: int) -> int:
    """The number of the customer's review."""
    with database.database(settings) as engine, connect(engine) as connection:
        return int(
            connection.scalar(
                text("SELECT review_id FROM credit.review WHERE customer_id = :customer"), {"customer": customer}
            )
        )


def test_no_reader_sees_more_while_a_restore_is_under_way(
    target: Settings, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dashboards may be up: what they see between the restored tables and the roles is nothing, not all."""
    key, looked = target.secrets()["viewer"], []
    compare = restore.differences

    def look_first(*arguments: object) -> list[str]:
        for viewer in (looking(key, "alice"), None):
            try:
                looked.append(seen(target, viewer))
            except psycopg.errors.InsufficientPrivilege:
                looked.append(set())
        return compare(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(restore, "differences", look_first)
    backups.bring_back(target, file, force=True)
    assert looked == [set(), set()]
    assert seen(target, looking(key, "alice")) == {OWN}
    assert seen(target, None) == set()


def test_a_night_after_the_restore_is_limited_too(target: Settings) -> None:
    key = target.secrets()["viewer"]
    with database.database(target, writer=True) as writer:
        model_id = ledger.new_model(writer, "b")
        ledger.night(writer, model_id, day=ledger.DAY.replace(day=9), sha256="9" * 64)
    assert seen(target, looking(key, "alice")) == {OWN}
    assert seen(target, looking(key, "bob")) == EVERYBODY
    assert seen(target, looking(key, "carol")) == set()
