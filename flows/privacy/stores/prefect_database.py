"""The database of our Prefect server: what flows and tasks said, were given and returned, and what people typed."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from db.people import mentions
from flows.privacy.stores.base import Erased, Found, NotErasedError, Store
from flows.settings import Settings

# Nothing else in it can name a person.
TEXTS: Mapping[str, tuple[str, ...]] = {
    "artifact": ("data", "description", "metadata_"),
    "artifact_collection": ("data", "description", "metadata_"),
    "deployment": ("parameters", "description"),
    "event_resources": ("resource",),
    "events": ("payload", "resource", "related"),
    "flow_run": ("parameters", "context", "tags", "name"),
    "flow_run_input": ("value",),
    "flow_run_state": ("message", "data"),
    "log": ("message",),
    "task_run": ("task_inputs", "tags"),
    "task_run_state": ("message", "data"),
    "variable": ("value",),
}


class PrefectDatabase(Store):
    """The SQLite file of the state folder; another server keeps its runs elsewhere."""

    def __init__(self, settings: Settings) -> None:
        self._path = prefect_database(settings)

    @property
    def name(self) -> str:
        return f"Prefect's database {self._path}"

    def there(self) -> bool:
        return self._path.exists()

    def places(self) -> Collection[str]:
        return [f"{self._path}: {table}.{column}" for table, columns in TEXTS.items() for column in columns]

    def looked_at(self) -> str:
        return "; ".join(f"{table} ({', '.join(columns)})" for table, columns in TEXTS.items())

    def find(self, customer_id: int) -> Found:
        return Found(find_in_prefect(self._path, customer_id))

    def erase(self, customer_id: int) -> Erased:
        texts = clean_prefect(self._path, customer_id)
        return Erased({str(self._path): texts} if texts else {})


def prefect_database(settings: Settings) -> Path:
    """Where the local Prefect server keeps its runs, if there is one."""
    return settings.state / "prefect" / "prefect.db"


def find_in_prefect(path: Path, customer_id: int) -> dict[str, int]:
    """Texts of Prefect's database that speak of the person, by place. Raises NotErasedError if it is not read."""
    found: dict[str, int] = {}
    with _prefect(path) as connection:
        for table, column, _, _ in _prefect_texts(connection, customer_id):
            place = f"{path}: {table}.{column}"
            found[place] = found.get(place, 0) + 1
    return found


def clean_prefect(path: Path, customer_id: int) -> int:
    """Take the number out of the texts of Prefect's database, and what it stood in off the disk; texts changed.

    Rows that Prefect itself deleted earlier leave their bytes behind, so the file is made anew, which its server
    waits for.
    """
    digits = str(customer_id).encode()
    with _prefect(path) as connection:
        texts = list(_prefect_texts(connection, customer_id))
        left_behind = any(
            digits in file.read_bytes() for file in (path, path.with_name(f"{path.name}-wal")) if file.exists()
        )
        if not left_behind:
            return 0
        for table, column, row, content in texts:
            connection.execute(f'UPDATE "{table}" SET "{column}" = ? WHERE rowid = ?', [content, row])
        connection.commit()
        connection.execute("VACUUM")
        (busy, *_) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise sqlite3.OperationalError("a reader keeps its write-ahead log")
    return len(texts)


def _prefect_texts(connection: sqlite3.Connection, customer_id: int) -> Iterator[tuple[str, str, int, str]]:
    """(table, column, rowid, the text without the person)."""
    there = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    for table, columns in TEXTS.items():
        known = (
            {name for _, name, *_ in connection.execute(f'PRAGMA table_info("{table}")')} if table in there else ()
        )
        for column in (column for column in columns if column in known):
            rows = connection.execute(
                f'SELECT rowid, "{column}" FROM "{table}"'
                f' WHERE typeof("{column}") = \'text\' AND instr("{column}", ?) > 0',
                [str(customer_id)],
            ).fetchall()
            for row, content in rows:
                found = mentions.without_in(content, customer_id)
                if found.times:
                    yield table, column, row, found.content


@contextmanager
def _prefect(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        with closing(sqlite3.connect(path, timeout=30)) as connection:
            yield connection
    except sqlite3.Error as error:
        raise NotErasedError(f"{path} could not be cleaned ({error}); stop Prefect, then erase again.") from error
