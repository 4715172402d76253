"""The view files reach every database, whatever made it, and nobody who was kept out comes in with them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import ProgrammingError

from db import schema, views
from db.access import roles
from db.engine import make_engine, transaction
from db.server.embedded import EmbeddedPostgres


@pytest.fixture
def analyst(
    engine: Engine, postgres: EmbeddedPostgres, reader_passwords: dict[str, str]
) -> Callable[[str], list[object]]:
    """Asks a question of one column as an analyst does, over a connection of its own."""

    def ask(query: str) -> list[object]:
        url = postgres.url(roles.ANALYST, reader_passwords[roles.ANALYST], engine.url.database or "")
        asking = make_engine(url)
        try:
            with asking.connect() as connection:
                return list(connection.scalars(text(query)).all())
        finally:
            asking.dispose()

    return ask


def edit(monkeypatch: pytest.MonkeyPatch, folder: Path, content: str) -> None:
    """A next version of this program, in which one view file is another."""
    shutil.copytree(views.VIEWS, folder)
    file = folder / "score_band.sql"
    file.write_text(file.read_text().replace("CREATE VIEW", f"{content}\nCREATE VIEW", 1))
    monkeypatch.setattr(views, "VIEWS", folder)


def test_an_edited_view_reaches_a_database_that_needs_no_migration(
    engine: Engine,
    analyst: Callable[[str], list[object]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    assert schema.upgrade(engine) is False
    edit(monkeypatch, tmp_path / "views", "CREATE VIEW reporting.answer AS SELECT 42 AS number;")
    assert schema.upgrade(engine) is True
    assert analyst("SELECT number FROM reporting.answer") == [42]
    assert analyst("SELECT count(*) > 0 FROM reporting.score_band") == [True]
    assert schema.upgrade(engine) is False


def test_views_that_were_made_by_a_migration_of_an_older_version_are_made_anew(
    engine: Engine, analyst: Callable[[str], list[object]]
) -> None:
    with transaction(engine) as connection:
        connection.execute(text("COMMENT ON SCHEMA reporting IS NULL"))
        connection.execute(text("DROP VIEW reporting.worklist"))
    assert schema.upgrade(engine) is True
    assert analyst("SELECT count(*) FROM reporting.worklist") == [0]


def test_functions_and_types_that_only_an_older_version_had_are_gone(engine: Engine) -> None:
    schema.upgrade(engine)
    with transaction(engine) as connection:
        now = made(connection)
        # As in version 0.3, where a cohort was a list of integers.
        connection.exec_driver_sql(
            "CREATE TYPE reporting.old_figures AS (members integer);"
            "CREATE FUNCTION reporting.old_rate(cells integer[]) RETURNS reporting.old_figures"
            " LANGUAGE sql RETURN ROW(cardinality(cells))::reporting.old_figures;"
            "CREATE AGGREGATE reporting.cohort_rate(integer[])"
            " (SFUNC = array_cat, STYPE = integer[], FINALFUNC = reporting.old_rate);"
            "CREATE VIEW reporting.old_default_rate AS SELECT reporting.cohort_rate(ARRAY[1]);"
            "COMMENT ON SCHEMA reporting IS NULL"
        )
        assert len(made(connection)) == len(now) + 6
    assert schema.upgrade(engine) is True
    with transaction(engine) as connection:
        assert made(connection) == now


def made(connection: Connection) -> list[str]:
    """Every function, type and view of the schema, functions with their arguments."""
    return list(
        connection.scalars(
            text(
                "SELECT oid::regprocedure::text AS name FROM pg_proc"
                " WHERE pronamespace = 'reporting'::regnamespace"
                " UNION ALL SELECT oid::regtype::text FROM pg_type WHERE typnamespace = 'reporting'::regnamespace"
                " ORDER BY name"
            )
        )
    )


def test_a_view_that_cannot_be_made_leaves_readers_the_old_ones(
    engine: Engine,
    analyst: Callable[[str], list[object]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    schema.upgrade(engine)
    edit(monkeypatch, tmp_path / "views", "CREATE VIEW reporting.answer AS SELECT no_such_column;")
    with pytest.raises(ProgrammingError, match="no_such_column"):
        schema.upgrade(engine)
    assert analyst("SELECT count(*) > 0 FROM reporting.score_band") == [True]


def test_readers_who_are_kept_out_stay_out(
    engine: Engine,
    analyst: Callable[[str], list[object]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    schema.upgrade(engine)
    with transaction(engine) as connection:
        connection.execute(text(f"REVOKE USAGE ON SCHEMA reporting FROM {roles.READER}"))
    edit(monkeypatch, tmp_path / "views", "CREATE VIEW reporting.answer AS SELECT 42 AS number;")
    assert schema.upgrade(engine) is True
    with pytest.raises(ProgrammingError, match="permission denied"):
        analyst("SELECT number FROM reporting.answer")
