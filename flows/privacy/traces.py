"""A person's number in files: found, and taken out of those that are ours.

Ours are files of the state folder that can hold people: logs, how the last night ended, copies of input, synthetic
applications, Prefect's own database, Superset's cached answers. Files by which the programs run (ports, keys,
settings, scripts) hold numbers and no people, and are left alone.
"""

from __future__ import annotations

import csv
import gzip
import re
import sqlite3
import zlib
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import polars as pl

from db.errors import DatabaseError
from db.people import mentions
from flows.installation import atomic
from flows.services import superset
from flows.settings import Settings

ID = "SK_ID_CURR"
# What people typed, and what flows and tasks said, were given and returned; nothing else in it can name a person.
PREFECT: Mapping[str, tuple[str, ...]] = {
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
_CONTROL = (
    *("secrets.json", "configuration.json", "provisioned", "erasures.jsonl"),
    *("installation.json", "belongs-to"),
)
_CONTROL_SUFFIXES = (".pid", ".port", ".lock", ".toml", ".js")


class NotErasedError(DatabaseError):
    """Traces of the person were found after the erasure."""


def prefect_database(settings: Settings) -> Path:
    """Where the local Prefect server keeps its runs, if there is one."""
    return settings.state / "prefect" / "prefect.db"


def state_files(settings: Settings) -> list[Path]:
    """Files of the state folder that may hold people, one by one.

    Not the database server's own, which SQL looks into, nor Prefect's database and the cached answers, which are
    looked into in ways of their own.
    """
    home = settings.state / "postgres"
    apart = [home.resolve() / "data", *home.resolve().glob("server-*"), superset.answers(settings).resolve()]
    found = [path for path in settings.state.rglob("*") if path.is_file() and not path.is_symlink()]
    # The server's folder may be a link to elsewhere, which rglob does not follow.
    if home.is_symlink():
        found += [path for path in home.resolve().glob("*") if path.is_file()]
    prefect = prefect_database(settings)
    return sorted(
        path
        for path in found
        if path.name not in _CONTROL
        and path.suffix not in _CONTROL_SUFFIXES
        and not (path.parent == prefect.parent and path.name.startswith(prefect.name))
        and not any(path.resolve().is_relative_to(folder) for folder in apart)
    )


def input_files(settings: Settings) -> list[Path]:
    """The application files that nights and trainings read, where they are named."""
    if settings.data is None:
        return []
    return sorted(path for path in settings.data.glob("application_*") if path.is_file())


def ours(settings: Settings, path: Path) -> bool:
    """Whether the program wrote the file: logs, its synthetic data, unpacked copies."""
    return (
        path.suffix == ".log"
        or path == settings.state / "night.json"
        or _passing(settings, path)
        or path.is_relative_to(settings.state / "prefect")
        or (path.parent == settings.state / "data" and path.name.lstrip(".").startswith("application_"))
    )


def _passing(settings: Settings, path: Path) -> bool:
    """Whether nobody misses the file: copies of input and temporary files."""
    return any(path.is_relative_to(settings.state / folder) for folder in ("scratch", "tmp"))


def hits(path: Path, customer_id: int) -> int:
    """How often the file speaks of the person: rows of a table of applications, mentions in any other file."""
    try:
        if path.name.endswith((".csv", ".csv.gz", ".parquet")):
            rows = _table_rows(path, customer_id)
            if rows is not None:
                return rows
        return _mentions(path, customer_id)
    except FileNotFoundError:
        return 0


def _table_rows(path: Path, customer_id: int) -> int | None:
    """Rows of this id in a table of applications; None if it is none that can be read as such."""
    try:
        scan = pl.scan_parquet(path) if path.suffix == ".parquet" else pl.scan_csv(path, infer_schema=False)
        ids = scan.select(pl.col(ID).cast(pl.String).str.strip_chars()).filter(
            pl.col(ID).str.contains(rf"^0*{customer_id}(\.0*)?$")
        )
        return int(ids.select(pl.len()).collect(engine="streaming").item())
    except (pl.exceptions.PolarsError, OSError):
        return None


def _mentions(path: Path, customer_id: int) -> int:
    count, kept, counted = 0, b"", 0
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
        try:
            while block := file.read(1 << 22):
                text = kept + block
                # What is near the end is judged with what follows it; what is near the beginning was judged before.
                until = len(text) - _NEAR
                count += _found(text, customer_id, counted, until)
                kept = text[max(0, until - _NEAR) :]
                counted = until - max(0, until - _NEAR)
        except (EOFError, zlib.error, gzip.BadGzipFile):
            return count
    return count + _found(kept, customer_id, counted, len(kept) + 1)


_NEAR = 512


def _found(text: bytes, customer_id: int, begin: int, end: int) -> int:
    if str(customer_id).encode() not in text:
        return 0
    # As Latin-1, each byte is one character.
    places = mentions.spans(text.decode("latin-1"), customer_id)
    return sum(begin <= start < end for start, _ in places)


def clean(settings: Settings, path: Path, customer_id: int) -> None:
    """Take the person out of a file that is ours."""
    if _passing(settings, path) or path.suffix == ".partial":
        path.unlink(missing_ok=True)
    elif path.parent == settings.state / "data":
        _without_rows(path, customer_id)
    else:
        _blacken(path, customer_id)


def _without_rows(path: Path, customer_id: int) -> None:
    """Write the file anew without the person's rows; it is replaced when it is whole."""
    his = re.compile(rf"\s*0*{customer_id}(\.0*)?\s*")
    mode = path.stat().st_mode & 0o777
    with path.open(encoding="utf-8", newline="") as old, atomic.writing(path, mode=mode) as new:
        header = old.readline()
        column = next(csv.reader([header])).index(ID)
        new.write(header.encode())
        for line in old:
            if str(customer_id) in line and his.fullmatch(next(csv.reader([line]))[column]):
                continue
            new.write(line.encode())


def _blacken(path: Path, customer_id: int) -> None:
    """Write x over the number where it stands: a log that is being written to may not change its length."""
    with path.open("r+b") as file:
        content = file.read().decode("latin-1")
        for start, end in mentions.spans(content, customer_id):
            file.seek(start)
            file.write(b"x" * (end - start))


# --- cached answers -------------------------------------------------------------------------------------------


def answers_about(settings: Settings, customer_id: int) -> list[Path]:
    """Cached answers of the dashboards that hold the person: in their SQL, or as a number in a table of customers.

    They are pickles, which are not unpacked: a number that happens to be the same only costs an answer.
    """
    found = []
    for path in superset.answers(settings).rglob("*"):
        try:
            content = path.read_bytes() if path.is_file() else b""
        except FileNotFoundError:
            continue
        rows = b"customer_id" in content and re.search(
            rb"|".join(re.escape(customer_id.to_bytes(width, "little")) for width in (8, 4)), content
        )
        if rows or _found(content, customer_id, 0, len(content)):
            found.append(path)
    return found


# --- Prefect's database ---------------------------------------------------------------------------------------


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
    for table, columns in PREFECT.items():
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
