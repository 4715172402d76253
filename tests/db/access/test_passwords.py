"""Passwords are set without being said: a server's log, or its list of queries, never has one."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest
from sqlalchemy import Engine

from db.access import roles
from db.engine import psql_url
from db.server.embedded import SUPERUSER, EmbeddedPostgres, new_password
from db.superset import access_log, metadata


@pytest.fixture
def logs_everything(postgres: EmbeddedPostgres) -> Iterator[None]:
    """The server notes each statement, as an auditor's may, and as any does with one that fails."""
    url = psql_url(postgres.url(SUPERUSER, database="postgres"))
    with psycopg.connect(url, autocommit=True) as server:
        server.execute("ALTER SYSTEM SET log_statement = 'all'")
        server.execute("SELECT pg_reload_conf()")
        yield
        server.execute("ALTER SYSTEM RESET log_statement")
        server.execute("SELECT pg_reload_conf()")


def test_no_password_stands_in_the_servers_log(
    postgres: EmbeddedPostgres,
    logs_everything: None,
    new_database: Callable[[], Engine],
    reader_passwords: dict[str, str],
) -> None:
    before = postgres.log.stat().st_size
    engine, own, of_the_log = new_database(), new_password(), new_password()
    assert roles.ensure_readers(engine, reader_passwords)
    assert roles.ensure_decider(engine, reader_passwords[roles.DECIDER])
    url = metadata.ensure_metadata_database(engine, own)
    assert access_log.ensure_reader(engine, str(url.database), of_the_log, f"{engine.url.database}_log")
    postgres.change_superuser_password(postgres.superuser_password)
    said = postgres.log.read_bytes()[before:].decode()
    assert said.count(" PASSWORD ") >= 6
    for password in (*reader_passwords.values(), own, of_the_log, postgres.superuser_password):
        assert password not in said
    # They are the passwords all the same.
    with psycopg.connect(psql_url(url.set(password=own))) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
