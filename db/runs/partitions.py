"""The tables of one run before anybody sees them: created, filled, indexed, attached or dropped as a whole."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from psycopg import Connection, sql
from sqlalchemy import Engine, Table

from db.about import about, columns_that
from db.engine import connect
from db.models import PARTITIONED, SCHEMA, partition_name, shap_value, similar_customer, similar_member
from db.runs.copy import Encoded, copy_rows

_NAMES = "|".join(table.name for table in PARTITIONED)
PARTITION_PATTERN = re.compile(rf"^({_NAMES})_[rm](\d{{8}})$")

# Erasing a former customer empties them of all runs of his models.
EMPTIED_BY_ERASURES = (similar_customer, similar_member)


class Staging:
    """Creates, fills and indexes one key's partitions (a run's, or a model's) inside the caller's transaction.

    Tables that are filled in the transaction that made them have frozen rows, leave nothing behind when the
    process is killed, and need no WAL on a server without replicas.
    """

    def __init__(self, connection: Connection[Any], tables: tuple[Table, ...], key: int, *, own: bool) -> None:
        self.connection = connection
        self._tables = tables
        self._key = key
        # Whether this transaction made the tables.
        self._own = own

    def create(self) -> None:
        """Make the tables, empty and unseen."""
        for table in self._tables:
            self._execute(
                "CREATE TABLE {part} (LIKE {parent} INCLUDING DEFAULTS INCLUDING CONSTRAINTS,"
                " CONSTRAINT partition_key CHECK ({column} = {key}))",
                table,
            )
            # The key is not sent with every row.
            self._execute("ALTER TABLE {part} ALTER {column} SET DEFAULT {key}", table)
            if table in EMPTIED_BY_ERASURES:
                # Of a table without rows, Postgres 15 to 17 keep the samples, and nobody looks into lists for their
                # people. Plans need none: that a customer's number is unique is known without.
                for _, column, _ in columns_that([table]):
                    self._execute(f"ALTER TABLE {{part}} ALTER {column} SET STATISTICS 0", table)

    def write(self, rows: Encoded) -> int:
        """COPY encoded rows (without the key's column) into the key's partition of their table; their number."""
        with self.connection.cursor() as cursor:
            return copy_rows(cursor, rows, partition_name(rows.table, self._key), freeze=self._own)

    def write_all(self, tables: Iterable[Encoded]) -> int:
        """The same for rows of several tables."""
        return sum(self.write(rows) for rows in tables)

    def index(self) -> None:
        """Build the parents' keys and indexes on the filled tables and gather the planner's statistics."""
        for table in self._tables:
            if table.primary_key.columns:
                self._execute("ALTER TABLE {part} ADD PRIMARY KEY ({primary_key})", table)
            if table is shap_value:
                self._execute("CREATE INDEX ON {part} (customer_id)", table)
            # Of the columns that plans depend on; those of 120 application columns would cost more than the load.
            self._execute(f"ANALYZE {{part}} ({', '.join(about(table).analysed)})", table)

    def _execute(self, statement: str, table: Table) -> None:
        self.connection.execute(_render(statement, table, self._key))


@contextmanager
def staging(engine: Engine, tables: tuple[Table, ...], key: int) -> Iterator[Staging]:
    """New tables in a transaction that is committed at the end of the block and rolled back on any error."""
    with _driver_transaction(engine) as driver:
        stage = Staging(driver, tables, key, own=True)
        stage.create()
        yield stage


@contextmanager
def joining(engine: Engine, tables: tuple[Table, ...], key: int) -> Iterator[Staging]:
    """Tables that another transaction has made, in a transaction of our own; several may fill them at once."""
    with _driver_transaction(engine) as driver:
        # The publication that follows waits for the disk, and with it for everything before it.
        driver.execute("SET LOCAL synchronous_commit = off")
        yield Staging(driver, tables, key, own=False)


@contextmanager
def _driver_transaction(engine: Engine) -> Iterator[Connection[Any]]:
    with connect(engine) as connection:
        driver: Connection[Any] = connection.connection.driver_connection  # type: ignore[assignment]
        with driver.transaction():
            yield driver


def attach(connection: Connection[Any], tables: tuple[Table, ...], key: int) -> None:
    """Make the key's tables partitions of their parents, those that are not yet; readers are not kept waiting."""
    attached = {name for name, its_key, done in partitions(connection) if done and its_key == key}
    for table in tables:
        if table.name in attached:
            continue
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


def _render(statement: str, table: Table, key: int) -> sql.Composed:
    return sql.SQL(statement).format(
        part=sql.Identifier(SCHEMA, partition_name(table, key)),
        parent=sql.Identifier(SCHEMA, table.name),
        column=sql.Identifier(about(table).partitioned_by or ""),
        key=sql.Literal(key),
        primary_key=sql.SQL(", ").join(map(sql.Identifier, table.primary_key.columns.keys())),
    )
