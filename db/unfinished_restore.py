"""What a restore leaves in the database until it is whole: who it is from, and that readers must stay out.

The mark is made in the transaction that puts the rows there, and goes when the last step is done. So a restore that
was cut short, at whatever moment, is known as such to every later command.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from psycopg import sql
from sqlalchemy import Connection, Engine, text

from db.engine import connect, driver, transaction
from db.errors import BusyError, DatabaseError
from db.runs.ledger import is_held

# A schema of its own: no backup holds it, no migration knows it.
MARK = "creditlens_restore"
# Held by the transaction that restores, which may live a while after the command that began it was killed.
RESTORE_LOCK = 0x43524547


class UnfinishedRestoreError(DatabaseError):
    """A restore was cut short; readers are kept out until it is finished."""


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A restore that is not whole yet.

    Attributes
    ----------
    file: the backup, as it was named.
    created_at: when the backup was made.
    sha256: of the backup's data.
    superset: whether the backup holds Superset's own database.
    compared: whether all rows are back, Superset's too, and are those that were saved.
    """

    file: str
    created_at: str
    sha256: str
    superset: bool
    compared: bool = False


def marking(restore: Unfinished) -> str:
    """SQL that makes the mark; it takes the restore's lock first, for the rest of its transaction."""
    mark = sql.SQL(
        "SELECT pg_catalog.pg_advisory_xact_lock({lock});\n"
        "DROP SCHEMA IF EXISTS {schema} CASCADE;\n"
        "CREATE SCHEMA {schema};\n"
        "CREATE TABLE {table} (restore text NOT NULL);\n"
        "INSERT INTO {table} VALUES ({content});\n"
    )
    return mark.format(
        lock=sql.Literal(RESTORE_LOCK),
        schema=sql.Identifier(MARK),
        table=sql.Identifier(MARK, "unfinished"),
        content=sql.Literal(json.dumps(asdict(restore))),
    ).as_string(None)


def unfinished(engine: Engine) -> Unfinished | None:
    """The restore that is not whole yet, None if there is none. Raises BusyError while one puts its rows there."""
    with connect(engine) as connection:
        _require_quiet(connection)
        if not connection.scalar(text("SELECT 1 FROM pg_namespace WHERE nspname = :mark"), {"mark": MARK}):
            return None
        return Unfinished(**json.loads(connection.scalar(text(f"SELECT restore FROM {MARK}.unfinished"))))


def require_whole(engine: Engine) -> None:
    """Raise UnfinishedRestoreError if a restore was cut short, BusyError while one is under way."""
    with connect(engine) as connection:
        _require_quiet(connection)
        # No role but the one that restored may look into the mark.
        if connection.scalar(text("SELECT 1 FROM pg_namespace WHERE nspname = :mark"), {"mark": MARK}):
            raise UnfinishedRestoreError(
                "A restore was cut short, and readers are kept out until it is whole; run `creditlens up` to finish"
                " it, or restore a backup again."
            )


def note_compared(engine: Engine) -> None:
    """Note that all rows are back and are those that were saved."""
    with transaction(engine) as connection:
        connection.execute(
            text(f"UPDATE {MARK}.unfinished SET restore = (restore::jsonb || '{{\"compared\": true}}')::text")
        )


def finish(engine: Engine) -> None:
    """Take the mark away: the restore is whole."""
    with transaction(engine) as connection:
        driver(connection).execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(MARK)))


def _require_quiet(connection: Connection) -> None:
    if is_held(connection, RESTORE_LOCK):
        raise BusyError("A restore is under way; try again when it has finished.")
