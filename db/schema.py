"""Migrating the database to what this program needs, with Alembic and without a configuration file."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine

from db import restoring, views
from db.engine import connect
from db.errors import NotMigratedError

MIGRATIONS = Path(__file__).resolve().parents[1] / "migrations"


def configuration(engine: Engine) -> Config:
    """Alembic's configuration for the migrations of this program on one database."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    config.attributes["engine"] = engine
    return config


def upgrade(engine: Engine, revision: str = "head") -> bool:
    """Bring the database to `revision`, and the views to those of this program; whether anything was to be done.

    An older revision than the newest has no views: they are of the newest.
    """
    before = current(engine)
    if revision != "head" or before != head():
        command.upgrade(configuration(engine), revision)
    after = current(engine)
    remade = after == head() and views.bring_up_to_date(engine)
    return remade or after != before


def downgrade(engine: Engine, revision: str = "base") -> None:
    """Take the database back to `revision`."""
    command.downgrade(configuration(engine), revision)


def check(engine: Engine) -> None:
    """Raise alembic.util.CommandError if the models and the migrated database differ."""
    command.check(configuration(engine))


def current(engine: Engine) -> str | None:
    """The revision that the database is at, None if it was never migrated."""
    with connect(engine) as connection:
        return MigrationContext.configure(connection).get_current_revision()


def head() -> str | None:
    """The newest revision that this program has."""
    return _scripts().get_current_head()


def revisions() -> set[str]:
    """All revisions that this program has."""
    return {script.revision for script in _scripts().walk_revisions()}


def _scripts() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return ScriptDirectory.from_config(config)


def require_current(engine: Engine) -> None:
    """Raise NotMigratedError if the database is not at this program's newest revision.

    Raises UnfinishedRestoreError if a restore was cut short.
    """
    restoring.require_whole(engine)
    found = current(engine)
    if found != head():
        raise NotMigratedError(
            f"The database is at schema revision {found or 'none'}, this program needs {head()};"
            " run `creditlens up` (or `creditlens migrate`)."
        )
