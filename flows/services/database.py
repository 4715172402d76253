"""Connections to an installation's database, as its owner, its writer or a reader."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine

from db.access import portfolios, roles
from db.access.names import USUAL, USUAL_PREFIX
from db.engine import ignore_variables, make_engine, psql_url, require_supported_server
from db.errors import DatabaseUnavailableError, EmbeddedPostgresError, RefusedError
from flows.installation import identity, private
from flows.services.processes import log
from flows.settings import Settings


def connect_database(settings: Settings) -> Engine:
    """An engine for the database that the settings name; an embedded server that is down is not started.

    Raises DatabaseUnavailableError with the way out.
    """
    ignore_variables(embedded=settings.database_url is None)
    if settings.database_url is not None:
        engine = make_engine(settings.database_url.get_secret_value(), job=True)
        require_supported_server(engine)
        return engine
    embedded = settings.embedded()
    embedded.require_own_data()
    if embedded.port() is None:
        raise DatabaseUnavailableError("The embedded Postgres is not running; start it with `creditlens up`.")
    return make_engine(embedded.url(), job=True)


def require_ours(settings: Settings, engine: Engine) -> None:
    """Raise RefusedError if another installation uses the database: its roles have that one's passwords.

    The embedded server is its state folder's own, whatever became of the secrets.
    """
    if settings.database_url is not None and portfolios.key_of_another(engine, settings.secrets()["viewer"]):
        raise RefusedError(
            f"The database {engine.url.database} belongs to another installation, whose passwords would be"
            f" replaced: copy that one's secrets.json into {settings.state} to share it, or, if that one is gone,"
            " run `creditlens migrate --take-over`."
        )


def connect_writer(settings: Settings) -> Engine:
    """An engine for the jobs: as the writer where the database has one, else as whom the settings name."""
    engine = connect_database(settings)
    writer = roles.names(engine).writer
    if engine.url.username == writer or not roles.has_writer(engine):
        return engine
    require_ours(settings, engine)
    engine.dispose()
    return make_engine(engine.url.set(username=writer, password=settings.secrets()["writer"]), job=True)


@contextmanager
def database(settings: Settings, *, writer: bool = False) -> Iterator[Engine]:
    """`connect_database` (or `connect_writer`) for the block; its connections are closed at the end."""
    engine = connect_writer(settings) if writer else connect_database(settings)
    try:
        yield engine
    finally:
        engine.dispose()


def start_database(settings: Settings) -> None:
    """Close the state folder to others, and start the embedded server, if that is what is used and it is down."""
    settings.secrets()
    closed = private.tighten(settings.state, embedded=settings.database_url is None)
    if closed:
        log.info("Closed to others: %s files and folders in %s.", f"{closed:,}", settings.state)
    if settings.database_url is not None:
        return
    ignore_variables(embedded=True)
    copied_from = identity.of(settings.state).copied_from
    try:
        settings.embedded().start()
    except EmbeddedPostgresError as error:
        if copied_from is None:
            raise
        raise EmbeddedPostgresError(
            f"{str(error).rstrip('.')}; this state folder is a copy of {copied_from}, and one that is made while"
            " Postgres runs may not be whole: `creditlens backup FILE` there and `creditlens restore FILE` in a new"
            " state folder bring everything over."
        ) from error


def reader_url(settings: Settings, role: str = USUAL.analyst) -> str:
    """A reading role's address of the database, as psql takes it.

    Parameters
    ----------
    role: its usual name; in this database it may have another one.
    """
    password = settings.secrets()[role.removeprefix(f"{USUAL_PREFIX}_")]
    with database(settings) as engine:
        require_ours(settings, engine)
        name = USUAL.renamed(roles.names(engine))[role]
        return psql_url(engine.url.set(username=name, password=password))
