"""Migrating the database to what this program needs, with Alembic and without a configuration file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql
from psycopg.errors import InsufficientPrivilege
from sqlalchemy import Engine

from db import unfinished_restore, views
from db.engine import connect, driver
from db.errors import NotMigratedError, RefusedError
from db.models import PRIVATE, SCHEMA, VERSION_TABLE

if TYPE_CHECKING:
    from alembic.config import Config

MIGRATIONS = Path(__file__).resolve().parents[1] / "migrations"
# Not Alembic's usual public.alembic_version, in which other programs keep their own revision, and not in schema
# `credit`, which the first migration makes.
_BEFORE_0_4 = ("public", "alembic_version")
MAKE_VERSION_TABLE = (
    f"CREATE SCHEMA IF NOT EXISTS {PRIVATE};"
    f" CREATE TABLE IF NOT EXISTS {PRIVATE}.{VERSION_TABLE}"
    f" (version_num varchar(32) CONSTRAINT {VERSION_TABLE}_pkc PRIMARY KEY);"
)


def configuration(engine: Engine) -> Config:
    """Alembic's configuration for the migrations of this program on one database."""
    # Here and below: most commands migrate nothing, and Alembic takes long to import.
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    config.attributes["engine"] = engine
    return config


def upgrade(engine: Engine, revision: str = "head") -> bool:
    """Bring the database to `revision`, and the views to those of this program; whether anything was to be done.

    An older revision than the newest has no views: they are of the newest.

    Raises RefusedError for a database of a newer program; nothing is changed.
    """
    from alembic import command

    before = current(engine)
    require_known(before)
    if revision != "head" or before != head():
        command.upgrade(configuration(engine), revision)
    after = current(engine)
    remade = after == head() and views.bring_up_to_date(engine)
    return remade or after != before


def downgrade(engine: Engine, revision: str = "base") -> None:
    """Take the database back to `revision`."""
    from alembic import command

    command.downgrade(configuration(engine), revision)


def check(engine: Engine) -> None:
    """Raise alembic.util.CommandError if the models and the migrated database differ."""
    from alembic import command

    command.check(configuration(engine))


def current(engine: Engine) -> str | None:
    """The revision that the database is at, None if it was never migrated."""
    with connect(engine) as connection:
        return _recorded(driver(connection))


def _recorded(server: psycopg.Connection[Any]) -> str | None:
    if not _exists(server, SCHEMA, "scoring_run"):
        # A record without tables says nothing: somebody dropped them.
        return None
    if _exists(server, PRIVATE, VERSION_TABLE):
        row = server.execute(f"SELECT version_num FROM {PRIVATE}.{VERSION_TABLE}").fetchone()
        return row and row[0]
    return _recorded_before_0_4(server)


def _recorded_before_0_4(server: psycopg.Connection[Any]) -> str | None:
    """Our revision in Alembic's usual table, beside rows of other programs if there are any."""
    if not _exists(server, *_BEFORE_0_4):
        return None
    found = server.execute(
        sql.SQL("SELECT version_num FROM {} WHERE version_num = ANY(%s)").format(sql.Identifier(*_BEFORE_0_4)),
        [list(revisions())],
    ).fetchone()
    return found and found[0]


def use_own_version_table(server: psycopg.Connection[Any]) -> None:
    """Make the table of the schema's revision, with the revision that an installation of 0.3 kept elsewhere.

    In the caller's transaction; idempotent. Rows of other programs in that other place stay as they are.
    """
    if not _exists(server, SCHEMA, "scoring_run"):
        server.execute(MAKE_VERSION_TABLE)
        server.execute(f"DELETE FROM {PRIVATE}.{VERSION_TABLE}")
    elif not _exists(server, PRIVATE, VERSION_TABLE):
        found = _recorded_before_0_4(server)
        server.execute(MAKE_VERSION_TABLE)
        if found is not None:
            server.execute(f"INSERT INTO {PRIVATE}.{VERSION_TABLE} VALUES (%s)", [found])
            _forget_before_0_4(server, found)


def _forget_before_0_4(server: psycopg.Connection[Any], revision: str) -> None:
    table = sql.Identifier(*_BEFORE_0_4)
    server.execute(sql.SQL("DELETE FROM {} WHERE version_num = %s").format(table), [revision])
    left = server.execute(sql.SQL("SELECT 1 FROM {}").format(table)).fetchone()
    if left is None:
        try:
            with server.transaction():
                server.execute(sql.SQL("DROP TABLE {}").format(table))
        except InsufficientPrivilege:
            # Empty, it stands in nobody's way.
            pass


def _exists(server: psycopg.Connection[Any], schema: str, table: str) -> bool:
    # Not to_regclass(), which fails for who may not look into the schema.
    row = server.execute(
        "SELECT 1 FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %s AND c.relname = %s",
        [schema, table],
    ).fetchone()
    return row is not None


def head() -> str:
    """The newest revision that this program has."""
    return max(revisions())


def revisions() -> set[str]:
    """All revisions that this program has: their files begin with them."""
    return {file.name.partition("_")[0] for file in (MIGRATIONS / "versions").glob("[0-9]*.py")}


def require_known(revision: str | None) -> None:
    """Raise RefusedError for a revision that only a newer program has."""
    if revision is not None and revision not in revisions():
        raise RefusedError(
            f"The database is at schema revision {revision}, and this program knows revisions up to {head()} only:"
            " a newer creditlens has used it; run that version, or a newer one."
        )


def require_current(engine: Engine) -> None:
    """Raise NotMigratedError if the database is not at this program's newest revision.

    Raises UnfinishedRestoreError if a restore was cut short, and RefusedError for a database of a newer program.
    """
    unfinished_restore.require_whole(engine)
    found = current(engine)
    require_known(found)
    if found != head():
        raise NotMigratedError(
            f"The database is at schema revision {found or 'none'}, this program needs {head()};"
            " run `creditlens up` (or `creditlens migrate`)."
        )
