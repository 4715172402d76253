"""The database that Superset keeps its own things in: made for it, closed to it everywhere else."""

from __future__ import annotations

from psycopg import sql
from psycopg.errors import InsufficientPrivilege
from sqlalchemy import URL, Engine

from db.access import passwords
from db.engine import connect, driver, open_session
from db.errors import DatabaseUnavailableError

SUFFIX = "_superset"


def ensure_metadata_database(engine: Engine, password: str) -> URL:
    """Make the database `<name>_superset` and its owner, a login role of the same name, beside `engine`'s database.

    Idempotent; the role gets `password` each time. It may connect to its own database only: the reporting
    database takes nobody who is no reader (db.access.roles).

    Raises DatabaseUnavailableError, with the way out, where the server does not let us make them.
    """
    name = f"{engine.url.database}{SUFFIX}"
    try:
        with connect(engine.execution_options(isolation_level="AUTOCOMMIT")) as connection:
            server = driver(connection)
            names = {"name": sql.Identifier(name), "password": passwords.kept(server, name, password)}
            if not server.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name]).fetchone():
                server.execute(sql.SQL("CREATE ROLE {name}").format(**names))
            server.execute(sql.SQL("ALTER ROLE {name} LOGIN PASSWORD {password}").format(**names))
            # Only its member may make a database for it.
            server.execute(sql.SQL("GRANT {name} TO CURRENT_USER").format(**names))
            if not server.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
                server.execute(sql.SQL("CREATE DATABASE {name} OWNER {name}").format(**names))
            server.execute(sql.SQL("REVOKE ALL ON DATABASE {name} FROM PUBLIC").format(**names))
    except InsufficientPrivilege as error:
        raise DatabaseUnavailableError(
            f"This database user may not make the database {name} and its owner; make an empty database for"
            " Superset and name it in CREDITLENS_SUPERSET_DATABASE_URL."
        ) from error
    return engine.url.set(username=name, password=password, database=name)


def prune_log(url: URL, days: int) -> int:
    """Delete what Superset's log says of requests, and its SQL, of more than `days` days ago; how many requests."""
    with open_session(url) as connection:
        if connection.execute("SELECT to_regclass('logs')").fetchone() == (None,):
            return 0
        connection.execute(
            "DELETE FROM query WHERE start_time < 1000 * extract(epoch FROM now() - make_interval(days => %s))",
            [days],
        )
        return connection.execute(
            "DELETE FROM logs WHERE dttm < now() - make_interval(days => %s)", [days]
        ).rowcount
