"""Readers see schema reporting and nothing else, and their limits are set."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from db.access import public_functions, roles
from db.engine import make_engine, psql_url
from db.server.embedded import SUPERUSER, EmbeddedPostgres


@pytest.fixture(scope="module", params=[roles.ANALYST, roles.DASHBOARD])
def reader(request: pytest.FixtureRequest, engine: Engine, reader_passwords: dict[str, str]) -> Iterator[Engine]:
    role = str(request.param)
    made = make_engine(engine.url.set(username=role, password=reader_passwords[role]))
    yield made
    made.dispose()


def test_readers_see_every_reporting_view(reader: Engine) -> None:
    with reader.connect() as connection:
        views = connection.scalars(
            text("SELECT table_name FROM information_schema.views WHERE table_schema = 'reporting'")
        ).all()
        assert len(views) >= 15
        for view in views:
            connection.execute(text(f"SELECT * FROM reporting.{view} LIMIT 0"))


FORBIDDEN = {
    "read a base table": "SELECT * FROM credit.score",
    "read the pointer": "SELECT * FROM credit.published_run",
    "write through a view": "INSERT INTO reporting.cohort_option (attribute) VALUES ('x')",
    "make a table": "CREATE TABLE reporting.mine (x int)",
    "make a table in public": "CREATE TABLE public.mine (x int)",
    "make a temporary table": "CREATE TEMP TABLE mine (x int)",
    "run a program": "COPY (SELECT 1) TO PROGRAM 'true'",
    "make a table of an answer": "SELECT 1 AS x INTO reporting.mine",
    "delete while explaining": "EXPLAIN (ANALYZE) DELETE FROM credit.score_band",
    "grant": "GRANT SELECT ON credit.score TO creditlens_analyst",
    "write a large object": "SELECT lo_from_bytea(0, 'x')",
    "write into the write-ahead log": "SELECT pg_logical_emit_message(false, 'x', 'x')",
    "hold the lock of a night": "SELECT pg_try_advisory_lock(1)",
    "see what others ask": "SELECT query FROM pg_stat_activity",
    "end what others ask": "SELECT pg_terminate_backend(pg_backend_pid())",
    "cancel what others ask": "SELECT pg_cancel_backend(pg_backend_pid())",
    "run a query out of a text": "SELECT * FROM ts_stat('SELECT ''a''::tsvector')",
    "rewrite by a query out of a text": "SELECT ts_rewrite('a'::tsquery, 'SELECT ''a''::tsquery, ''b''::tsquery')",
    "run a query as XML": "SELECT query_to_xml('SELECT 1', true, true, '')",
}


@pytest.mark.parametrize("statement", FORBIDDEN.values(), ids=FORBIDDEN.keys())
def test_readers_may_not(reader: Engine, statement: str) -> None:
    with reader.connect() as connection:
        # They can switch their own read-only default off; what holds are the grants.
        connection.execute(text("SET default_transaction_read_only = off"))
        connection.commit()
        with pytest.raises(DBAPIError) as caught:
            connection.execute(text(statement))
    assert isinstance(caught.value.orig, psycopg.errors.InsufficientPrivilege)


@pytest.mark.parametrize("database", ["postgres", "template1"])
def test_readers_have_nothing_to_do_in_the_servers_own_databases(reader: Engine, database: str) -> None:
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(psql_url(reader.url.set(database=database)))


def test_a_readers_statements_and_transactions_are_limited_in_time(reader: Engine) -> None:
    reader.dispose()
    with reader.connect() as connection:
        assert connection.scalar(text("SHOW statement_timeout")) == "30s"
        assert connection.scalar(text("SHOW idle_in_transaction_session_timeout")) == "1min"
        assert connection.scalar(text("SHOW default_transaction_read_only")) == "on"


def test_a_superuser_closes_a_database_that_is_not_the_embedded_servers(postgres: EmbeddedPostgres) -> None:
    """As in containers, where the settings name one; anybody else is told that nothing was closed."""
    server = make_engine(postgres.url(SUPERUSER, database="postgres")).execution_options(
        isolation_level="AUTOCOMMIT"
    )
    with server.connect() as connection:
        connection.execute(text("CREATE DATABASE foreign_one TEMPLATE template0 OWNER creditlens_migrator"))
    server.dispose()
    open_to_everybody = text(
        "SELECT count(*) FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace"
        " AND proname ~ :names AND has_function_privilege('public', oid, 'EXECUTE')"
    )
    names = {"names": "|".join((public_functions.LOCKS, *public_functions.CLOSED))}
    migrator = make_engine(postgres.url(database="foreign_one"))
    superuser = make_engine(postgres.url(SUPERUSER, database="foreign_one"))
    with superuser.connect() as connection:
        before = connection.scalar(open_to_everybody, names)
    assert before > 30
    assert not roles.close_to_everybody(migrator)
    assert roles.close_to_everybody(superuser)
    assert roles.close_to_everybody(superuser)
    with superuser.connect() as connection:
        assert connection.scalar(open_to_everybody, names) == 0
        assert connection.scalar(text("SELECT pg_try_advisory_lock(1)"))
    for engine in (migrator, superuser):
        engine.dispose()


def test_readers_who_were_kept_out_are_let_in_again(
    new_database: Callable[[], Engine], reader_passwords: dict[str, str]
) -> None:
    """As a restore does where it may not make roles."""
    engine = new_database()
    url = psql_url(engine.url.set(username=roles.ANALYST, password=reader_passwords[roles.ANALYST]))
    with engine.begin() as connection:
        connection.execute(text("REVOKE USAGE ON SCHEMA reporting FROM creditlens_reader"))
    with psycopg.connect(url) as reader, pytest.raises(psycopg.errors.InsufficientPrivilege):
        reader.execute("SELECT * FROM reporting.feature")
    roles.let_readers_in(engine)
    with psycopg.connect(url) as reader:
        assert reader.execute("SELECT count(*) FROM reporting.feature").fetchone() != (0,)
