"""The tables of one run before anybody sees them: created, filled, indexed, attached or dropped as a whole."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from psycopg import Connection, sql
from sqlalchemy import Engine, Table

from db.bulk import Values, copy_rows
from db.engine import connect
from db.models import RUN_PARTITIONED, SCHEMA, former_customer, partition_name, shap_value

_NAMES = "|".join(table.name for table in (*RUN_PARTITIONED, former_customer))
PARTITION_PATTERN = re.compile(rf"^({_NAMES})_[rm](\d{{8}})$")


class Staging:
    """Writes one key's partitions (a run's, or a model's) inside one transaction.

    The tables are made in the transaction that fills them, so their rows are frozen, a killed process leaves
    nothing behind, and a server without replicas writes no WAL for them.
    """

    def __init__(self, connection: Connection[Any], tables: tuple[Table, ...], key: int) -> None:
        self._connection = connection
        self._tables = tables
        self._key = key
        for table in tables:
            self._execute(
                "CREATE TABLE {part} (LIKE {parent} INCLUDING DEFAULTS INCLUDING CONSTRAINTS,"
                " CONSTRAINT partition_key CHECK ({column} = {key}))",
                table,
            )

    def write(self, table: Table, columns: Mapping[str, Values]) -> int:
        """COPY `columns` (shape (n,) each) into the key's partition of `table`; the number of rows."""
        keyed: dict[str, Values] = {_key_column(table): self._key, **columns}
        with self._connection.cursor() as cursor:
            return copy_rows(cursor, table, partition_name(table, self._key), keyed, freeze=True)

    def index(self) -> None:
        """Build the parents' keys and indexes on the filled tables and gather the planner's statistics."""
        for table in self._tables:
            if table.primary_key.columns:
                self._execute("ALTER TABLE {part} ADD PRIMARY KEY ({column}, customer_id)", table)
            if table is shap_value:
                self._execute("CREATE INDEX ON {part} (customer_id)", table)
            self._execute("ANALYZE {part}", table)

    def _execute(self, statement: str, table: Table) -> None:
        self._connection.execute(_render(statement, table, self._key))


@contextmanager
def staging(engine: Engine, tables: tuple[Table, ...], key: int) -> Iterator[Staging]:
    """A `Staging` whose transaction is committed at the end of the block and rolled back on any error."""
    with connect(engine) as connection:
        driver: Connection[Any] = connection.connection.driver_connection  # type: ignore[assignment]
        with driver.transaction():
            yield Staging(driver, tables, key)


def attach(connection: Connection[Any], tables: tuple[Table, ...], key: int) -> None:
    """Make the key's tables partitions of their parents; readers are not kept waiting."""
    for table in tables:
        connection.execute(
            _render("ALTER TABLE {parent} ATTACH PARTITION {part} FOR VALUES IN ({key})", table, key)
        )


def detach_and_drop(engine: Engine, table: Table, key: int) -> None:
    """Take one partition away without blocking readers, then drop it; nothing happens if it is not there."""
    with connect(engine) as connection:
        driver: Connection[Any] = connection.connection.driver_connection  # type: ignore[assignment]
        driver.autocommit = True
        try:
            state = driver.execute(
                "SELECT i.inhdetachpending FROM pg_class c LEFT JOIN pg_inherits i ON i.inhrelid = c.oid"
                " WHERE c.oid = to_regclass(%s)",
                [f"{SCHEMA}.{partition_name(table, key)}"],
            ).fetchone()
            if state is None:
                return
            if state[0] is not None:
                # DETACH CONCURRENTLY that was cut short stays pending until it is finalised.
                mode = "FINALIZE" if state[0] else "CONCURRENTLY"
                driver.execute(_render("ALTER TABLE {parent} DETACH PARTITION {part} " + mode, table, key))
            driver.execute(_render("DROP TABLE {part}", table, key))
        finally:
            driver.autocommit = False


def partitions(connection: Connection[Any]) -> list[tuple[str, int, bool]]:
    """All run and model tables as (parent's name, key, attached)."""
    rows = connection.execute(
        "SELECT c.relname, i.inhparent IS NOT NULL AND NOT i.inhdetachpending FROM pg_class c"
        " LEFT JOIN pg_inherits i ON i.inhrelid = c.oid"
        " WHERE c.relnamespace = to_regnamespace(%s) AND c.relkind = 'r'",
        [SCHEMA],
    ).fetchall()
    found = ((PARTITION_PATTERN.match(name), attached) for name, attached in rows)
    return [(match[1], int(match[2]), attached) for match, attached in found if match]


def _key_column(table: Table) -> str:
    return "model_id" if table is former_customer else "run_id"


def _render(statement: str, table: Table, key: int) -> sql.Composed:
    return sql.SQL(statement).format(
        part=sql.Identifier(SCHEMA, partition_name(table, key)),
        parent=sql.Identifier(SCHEMA, table.name),
        column=sql.Identifier(_key_column(table)),
        key=sql.Literal(key),
    )
