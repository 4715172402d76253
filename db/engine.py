"""Engines and connections: one place decides driver, timeouts and how a refused connection reads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from psycopg.conninfo import make_conninfo
from sqlalchemy import URL, Connection, Engine, create_engine, make_url
from sqlalchemy.exc import ArgumentError, OperationalError

from db.errors import DatabaseUnavailableError

APPLICATION_NAME = "creditlens"
MINIMUM_SERVER_VERSION = 150000


def parse_url(text: str) -> URL:
    """A `postgres://` or `postgresql://` address as a URL for psycopg 3.

    Raises DatabaseUnavailableError if the text is not a Postgres address.
    """
    try:
        url = make_url(text)
    except ArgumentError as error:
        raise DatabaseUnavailableError(
            "The database URL cannot be read; it should look like postgresql://user:password@host:5432/name."
        ) from error
    if url.get_backend_name() not in {"postgresql", "postgres"}:
        raise DatabaseUnavailableError(
            f"The database URL names {url.get_backend_name()!r}; creditlens needs Postgres 15 or newer."
        )
    return url.set(drivername="postgresql+psycopg")


def psql_url(url: URL) -> str:
    """The URL with its password, as `psql` takes it."""
    # SQLAlchemy leaves spaces as they are; libpq refuses them.
    return url.set(drivername="postgresql").render_as_string(hide_password=False).replace(" ", "%20")


def program_target(url: URL) -> str:
    """The same without its password, which a program is to get by the environment, as PGPASSWORD.

    What stands in a command line, everybody on the machine may read.
    """
    query = {name: value for name, value in url.query.items() if isinstance(value, str)}
    return make_conninfo("", host=url.host, port=url.port, user=url.username, dbname=url.database, **query)


def make_engine(url: URL | str) -> Engine:
    """An engine for `url`; nothing is connected yet."""
    parsed = parse_url(url) if isinstance(url, str) else url
    return create_engine(
        parsed,
        pool_pre_ping=True,
        connect_args={"connect_timeout": 10, "application_name": APPLICATION_NAME},
    )


@contextmanager
def connect(engine: Engine) -> Iterator[Connection]:
    """A connection without a transaction of its own making; the caller begins and commits.

    Raises DatabaseUnavailableError, naming host and database, if none can be had.
    """
    try:
        connection = engine.connect()
    except OperationalError as error:
        raise unavailable(engine.url, error) from error
    with connection:
        yield connection


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """A connection inside one transaction: committed at the end, rolled back on any error."""
    with connect(engine) as connection, connection.begin():
        yield connection


def unavailable(url: URL, error: Exception) -> DatabaseUnavailableError:
    """The driver's connection error as one sentence that names the server and never the password."""
    reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0].strip()
    reason = reason.removeprefix("connection failed: ")
    if "password authentication failed" in reason and (url.username or "").startswith("creditlens_"):
        reason += "; run `creditlens up`, which sets the passwords of secrets.json anew"
    return DatabaseUnavailableError(
        f"Postgres at {url.host or 'the local socket'}:{url.port or 5432}/{url.database} "
        f"did not let {url.username or 'the current user'} in: {reason}"
    )


def require_supported_server(engine: Engine) -> None:
    """Raise DatabaseUnavailableError if the server is older than Postgres 15."""
    with connect(engine) as connection:
        version = connection.connection.driver_connection.info.server_version  # type: ignore[union-attr]
    if version < MINIMUM_SERVER_VERSION:
        raise DatabaseUnavailableError(f"The server is Postgres {version // 10000}; creditlens needs 15 or newer.")
