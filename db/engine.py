"""Engines and connections: one place decides driver, timeouts and how a refused connection reads."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, unquote, urlencode

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.rows import tuple_row
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, OperationalError

from db.errors import AddressError, DatabaseUnavailableError, PoolerError

APPLICATION_NAME = "creditlens"
MINIMUM_SERVER_VERSION = 150000
_FORM = "it should look like postgresql://user:password@host:5432/name"

# What we rely on in every session, whatever server, database or role say; a server may not know all of it.
FORMATS = {
    "TimeZone": "UTC",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "standard_conforming_strings": "on",
    "quote_all_identifiers": "off",
    "lc_monetary": "C",
    "lc_numeric": "C",
    "lc_time": "C",
}
# What jobs rely on too. Readers keep the limits of their roles.
JOBS = {
    "default_transaction_read_only": "off",
    "default_transaction_isolation": "read committed",
    "default_transaction_deferrable": "off",
    "search_path": "public",
    # A night's statements are long, and the session that keeps other runs out waits for all of them.
    "statement_timeout": "0",
    "lock_timeout": "0",
    "transaction_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
}
_SET_SESSION = (
    "SELECT set_config(s.name, s.value, false) FROM unnest(%s::text[], %s::text[]) AS s (name, value)"
    " WHERE current_setting(s.name, true) IS DISTINCT FROM s.value AND current_setting(s.name, true) IS NOT NULL"
)

# Variables by which the client library would go to another server than the address says, or change the session.
_MISLEADING_VARIABLES = frozenset(
    {
        *("PGHOSTADDR", "PGSERVICE", "PGSERVICEFILE", "PGOPTIONS", "PGDATESTYLE", "PGTZ", "PGCLIENTENCODING"),
        *("PGGEQO", "PGAPPNAME", "PGTARGETSESSIONATTRS", "PGLOADBALANCEHOSTS", "PGREPLICATION"),
    }
)
# Not a prefix: PGDATA, PG_COLOR and the like are none of the client library's.
_LIBRARY_VARIABLES = _MISLEADING_VARIABLES | {
    *("PGHOST", "PGPORT", "PGDATABASE", "PGUSER", "PGPASSWORD", "PGPASSFILE", "PGREQUIREAUTH", "PGCHANNELBINDING"),
    *("PGSSLMODE", "PGREQUIRESSL", "PGSSLNEGOTIATION", "PGSSLCOMPRESSION", "PGSSLCERT", "PGSSLKEY"),
    *("PGSSLCERTMODE", "PGSSLROOTCERT", "PGSSLCRL", "PGSSLCRLDIR", "PGSSLSNI", "PGREQUIREPEER"),
    *("PGSSLMINPROTOCOLVERSION", "PGSSLMAXPROTOCOLVERSION", "PGGSSENCMODE", "PGKRBSRVNAME", "PGGSSLIB"),
    *("PGGSSDELEGATION", "PGCONNECT_TIMEOUT", "PGSYSCONFDIR", "PGLOCALEDIR"),
    *("PGMINPROTOCOLVERSION", "PGMAXPROTOCOLVERSION", "PGOAUTHDEBUG", "PGSSLKEYLOGFILE"),
}


def ignore_variables(*, embedded: bool) -> None:
    """Take variables of the Postgres client library that do not concern us from this process and its children.

    The embedded server is spoken to by its own address only, so none of them does. For a server that the settings
    name, those stay that say how to get in (TLS, authentication) and what the address leaves out.
    """
    for name in _LIBRARY_VARIABLES if embedded else _MISLEADING_VARIABLES:
        os.environ.pop(name, None)


def parse_url(text: str) -> URL:
    """A `postgres://` or `postgresql://` address as a URL for psycopg 3.

    Raises AddressError, which does not repeat the address, if it is none of Postgres.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as error:
        raise AddressError(f"The database URL cannot be read; {_FORM}.") from error
    if url.get_backend_name() not in {"postgresql", "postgres"}:
        raise AddressError(
            f"The database URL names {url.get_backend_name()!r}; creditlens needs Postgres 15 or newer."
        )
    repeated = sorted(name for name, value in url.query.items() if not isinstance(value, str))
    if repeated:
        raise AddressError(f"The database URL gives {repeated[0]} more than once.")
    url = _with_parameters_in_their_places(url)
    database = url.database
    if not database:
        raise AddressError(f"The database URL names no database; {_FORM}.")
    if url.host and "@" in url.host:
        raise AddressError("The database URL has more than one @; write those of the password as %40.")
    if url.host and unquote(url.host).startswith("/"):
        # The folder of a socket, which only a parameter can hold.
        url = URL.create(
            url.drivername, url.username, url.password, None, url.port, url.database,
            {**url.query, "host": unquote(url.host)},
        )  # fmt: skip
    try:
        make_conninfo("", **{name: str(value) for name, value in url.query.items()})
    except psycopg.Error as error:
        unknown = str(error).strip().splitlines()[0]
        raise AddressError(f"The database URL has a parameter that Postgres does not know: {unknown}.") from error
    return url.set(drivername="postgresql+psycopg", database=database)


def _with_parameters_in_their_places(url: URL) -> URL:
    """User, password, host, port and database where they belong, because other ones are put there for other roles.

    Raises AddressError for a port that is no number.
    """
    given = {name: str(value) for name, value in url.query.items()}
    url = url.difference_update_query(("user", "password", "port", "dbname"))
    url = url.set(
        username=given.get("user", url.username),
        password=given.get("password", url.password),
        database=given.get("dbname") or unquote(url.database or ""),
    )
    if "port" in given:
        if not given["port"].isdecimal():
            raise AddressError(f"The database URL cannot be read; {_FORM}.")
        url = url.set(port=int(given["port"]))
    if "host" in given and not given["host"].startswith("/"):
        url = url.difference_update_query(("host",)).set(host=given["host"])
    return url


def psql_url(url: URL) -> str:
    """The URL with its password, as `psql` takes it."""
    # SQLAlchemy's own rendering leaves some characters as they are that `psql` wants encoded.
    user, password, database = (quote(part or "", safe="") for part in (url.username, url.password, url.database))
    login = f"{user}:{password}@" if password else f"{user}@" if user else ""
    host = f"[{url.host}]" if url.host and ":" in url.host else url.host or ""
    port = f":{url.port}" if url.port else ""
    query = f"?{urlencode(url.query, quote_via=quote)}" if url.query else ""
    return f"postgresql://{login}{host}{port}/{database}{query}"


def program_target(url: URL) -> str:
    """The same without its password, which a program is to get by the environment, as PGPASSWORD.

    What stands in a command line, everybody on the machine may read.
    """
    query = {name: value for name, value in url.query.items() if isinstance(value, str)}
    # The host of a socket stands in the query.
    parts = {"host": url.host, "port": url.port, "user": url.username, "dbname": url.database, **query}
    return make_conninfo("", **parts)


def make_engine(url: URL | str, *, job: bool = False) -> Engine:
    """An engine for `url`; nothing is connected yet.

    Its sessions have the formats that we rely on; the limits of server, database and role hold unless
    it is for a `job`.
    """
    parsed = parse_url(url) if isinstance(url, str) else url
    engine = create_engine(
        parsed,
        pool_pre_ping=True,
        connect_args={"connect_timeout": 10, "application_name": APPLICATION_NAME, "client_encoding": "UTF8"},
    )
    # Before SQLAlchemy asks the server what it is like.
    event.listen(engine, "connect", lambda connection, _: _set_session(connection, job=job), insert=True)
    return engine


def open_session(url: URL | str, *, job: bool = True, **options: Any) -> psycopg.Connection[Any]:
    """A connection of the driver's own, with the same settings as those of an engine.

    Raises psycopg.OperationalError if none can be had.
    """
    text = url if isinstance(url, str) else psql_url(url)
    options = {"connect_timeout": 10, "client_encoding": "UTF8", **options}
    connection: psycopg.Connection[Any] = psycopg.connect(text, **options)
    _set_session(connection, job=job)
    return connection


def _set_session(connection: psycopg.Connection[Any], *, job: bool) -> None:
    """Set what we rely on. Raises PoolerError, having set nothing, where no session is ours alone."""
    settings = FORMATS | JOBS if job else FORMATS
    # Committed at once: a rollback would take settings back.
    autocommit, connection.autocommit = connection.autocommit, True
    if not _is_ours_alone(connection):
        connection.close()
        raise PoolerError(
            "The database URL leads to a connection pooler that gives each transaction another session, such as"
            " pgbouncer with pool_mode=transaction, where locks and settings do not last: name Postgres itself, or"
            " a pool with pool_mode=session."
        )
    connection.execute(_SET_SESSION, [list(settings), list(settings.values())])
    connection.autocommit = autocommit


# Poolers that were seen to keep a session for whoever connects: looked at once in each process.
_KEEPING: set[tuple[str, int, str, str]] = set()


def _is_ours_alone(connection: psycopg.Connection[Any]) -> bool:
    """Whether the server's session stays with the connection. A pooler cannot hide: it has not the server's number.

    A pool that gives sessions to transactions gives the one of the last transaction to the next one, whosever.
    """
    first = _backend(connection)
    if first == connection.info.backend_pid:
        return True
    info = connection.info
    where = (info.host, info.port, info.dbname, info.user)
    if where in _KEEPING:
        return True
    try:
        text = make_conninfo(info.dsn, password=info.password or None)
        with psycopg.connect(text, connect_timeout=10, autocommit=True) as other:
            second = _answer_in_time(other, b"SELECT pg_backend_pid()")
            kept = second != first and _backend(connection) == first
    except psycopg.errors.OperationalError:
        # No room for a second one, so the first is taken.
        kept = True
    if kept:
        _KEEPING.add(where)
    return kept


def _backend(connection: psycopg.Connection[Any]) -> int:
    # With a cursor of its own: rows are made as the caller likes them.
    row = connection.cursor(row_factory=tuple_row).execute("SELECT pg_backend_pid()").fetchone()
    assert row is not None
    return int(row[0])


def _answer_in_time(connection: psycopg.Connection[Any], query: bytes, seconds: float = 5) -> int | None:
    """The last value of a query; None if it waits, as for a place in a full pool."""
    server, deadline, value = connection.pgconn, time.monotonic() + seconds, None
    server.send_query(query)
    while True:
        while server.is_busy():
            if not select.select([server.socket], [], [], max(0.0, deadline - time.monotonic()))[0]:
                return None
            server.consume_input()
        result = server.get_result()
        if result is None:
            return value
        content = result.get_value(0, 0) if result.ntuples else None
        value = int(content) if content is not None else value


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
    host = url.host or url.query.get("host") or "the local socket"
    return DatabaseUnavailableError(
        f"Postgres at {host}:{url.port or 5432}/{url.database} "
        f"did not let {url.username or 'the current user'} in: {reason}"
    )


def require_supported_server(engine: Engine) -> None:
    """Raise DatabaseUnavailableError if the server is older than Postgres 15."""
    with connect(engine) as connection:
        version = connection.connection.driver_connection.info.server_version  # type: ignore[union-attr]
    if version < MINIMUM_SERVER_VERSION:
        raise DatabaseUnavailableError(f"The server is Postgres {version // 10000}; creditlens needs 15 or newer.")


def driver(connection: Connection) -> psycopg.Connection[Any]:
    """The psycopg connection under a SQLAlchemy one, in the same transaction."""
    return connection.connection.driver_connection  # type: ignore[return-value]
