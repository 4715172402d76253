"""Superset's own database: made once, its password renewed, refused in a sentence where we may not make it."""

from __future__ import annotations

import psycopg
import pytest
from sqlalchemy import Engine, text

from db.engine import make_engine, psql_url, transaction
from db.errors import DatabaseUnavailableError
from db.server.embedded import new_password
from db.superset.metadata import ensure_metadata_database, prune_log


def test_its_owner_may_make_tables_in_it_and_knows_no_other_database(engine: Engine) -> None:
    url = ensure_metadata_database(engine, new_password())
    with psycopg.connect(psql_url(url)) as connection:
        connection.execute("CREATE TABLE mine (x int)")
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(psql_url(url.set(database=engine.url.database)))


def test_a_second_time_keeps_what_is_there_and_takes_the_new_password(engine: Engine) -> None:
    first = ensure_metadata_database(engine, new_password())
    with psycopg.connect(psql_url(first)) as connection:
        connection.execute("CREATE TABLE kept (x int)")
    second = ensure_metadata_database(engine, new_password())
    with psycopg.connect(psql_url(second)) as connection:
        assert connection.execute("SELECT to_regclass('kept')::text").fetchone() == ("kept",)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(psql_url(first))


def test_who_may_not_make_databases_is_told_what_to_set(engine: Engine) -> None:
    role, password = f"{engine.url.database}_nobody", new_password()
    with transaction(engine) as connection:
        connection.execute(text(f"CREATE ROLE {role} LOGIN PASSWORD '{password}'"))
        connection.execute(text(f"GRANT CONNECT ON DATABASE {engine.url.database} TO {role}"))
    nobody = make_engine(engine.url.set(username=role, password=password))
    try:
        with pytest.raises(DatabaseUnavailableError, match="CREDITLENS_SUPERSET_DATABASE_URL"):
            ensure_metadata_database(nobody, new_password())
    finally:
        nobody.dispose()


def test_a_database_without_a_log_has_nothing_to_prune(engine: Engine) -> None:
    assert prune_log(ensure_metadata_database(engine, new_password()), 365) == 0
