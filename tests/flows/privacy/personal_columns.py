"""Columns that hold people, wherever they are, by their names; and those of them that no store looks into."""

from __future__ import annotations

import csv
import json
import re
import sqlite3
from collections.abc import Collection, Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
from sqlalchemy import Table

from db.about import about
from db.runs.partitions import PARTITION_PATTERN
from flows.privacy.stores.base import Store

_PERSONAL = re.compile(
    r"sk_id_curr|(customer|client|applicant|borrower|person)(_?(ids?|no|nr|numbers?|key|name))?|customers?_in_\w+",
    re.IGNORECASE,
)
# Columns of other programs whose client is a program too: the key of a browser's query, of an API's user.
_PROGRAMS = ("query.client_id", "csrf_token.client")
_COLUMNS = """
SELECT n.nspname, c.relname, c.relkind::text, a.attname, t.typtype IN ('r', 'm') OR t.typcategory = 'A'
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_type AS t ON t.oid = a.atttypid
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition
    AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
ORDER BY 1, 2, a.attnum
"""
_READ_BY_VIEWS = """
SELECT DISTINCT v.relnamespace::regnamespace || '.' || v.relname, c.relnamespace::regnamespace || '.' || c.relname
FROM pg_depend AS d
JOIN pg_rewrite AS r ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
JOIN pg_class AS v ON v.oid = r.ev_class AND v.relkind IN ('v', 'm')
JOIN pg_class AS c ON d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid AND c.oid <> v.oid
"""


def is_personal(name: str, *, many: bool = False) -> bool:
    """Whether a column of this name holds people; `many`: it is an array or a range, which no count is."""
    return _PERSONAL.fullmatch(name) is not None or (many and name.lower() in {"customers", "clients", "people"})


def places_of(stores: Iterable[Store]) -> set[str]:
    """Everything that the stores look into."""
    return {place for store in stores if store.there() for place in store.places()}


# --- in databases -------------------------------------------------------------------------------------------------


def undeclared(tables: Iterable[Table]) -> list[str]:
    """Columns of our tables that hold people by their names and are not said to."""
    return [
        f"{table.name}.{column.name}"
        for table in tables
        for column in table.columns
        if is_personal(column.name) and column.name not in about(table).people
    ]


def uncovered(
    connection: psycopg.Connection[Any], places: Collection[str], *, schemas: Mapping[str, str] | None = None
) -> list[str]:
    """Columns of tables and views of a database that hold people by their names and that no store looks into.

    A view holds nothing of its own: it is covered if it reads a table that is, and none that is not.

    Parameters
    ----------
    schemas: by what name stores call a schema, where not by its own.
    """
    stored: dict[str, list[str]] = {}
    views: dict[str, list[str]] = {}
    for schema, relation, kind, column, many in connection.execute(_COLUMNS).fetchall():
        name = f"{(schemas or {}).get(schema, schema)}.{relation}"
        if f"{relation}.{column}" in _PROGRAMS or PARTITION_PATTERN.match(relation):
            continue
        if is_personal(column, many=many):
            (views if kind == "v" else stored).setdefault(name, []).append(f"{name}.{column}")
    missing = {name: [place for place in columns if place not in places] for name, columns in stored.items()}
    reads = _tables_by_view(connection, schemas or {})
    covered = {place.rpartition(".")[0] for place in places}
    for view, columns in views.items():
        read = reads.get(view, set())
        if not read & covered or any(missing.get(table) for table in read):
            missing[view] = columns
    return sorted(place for columns in missing.values() for place in columns)


def _tables_by_view(connection: psycopg.Connection[Any], schemas: Mapping[str, str]) -> dict[str, set[str]]:
    """All that each view reads, also by other views."""

    def called(name: str) -> str:
        schema, _, relation = name.partition(".")
        return f"{schemas.get(schema, schema)}.{relation}"

    direct: dict[str, set[str]] = {}
    for view, read in connection.execute(_READ_BY_VIEWS).fetchall():
        direct.setdefault(called(view), set()).add(called(read))

    def closure(view: str) -> set[str]:
        read = direct.get(view, set())
        return read.union(*(closure(one) for one in read))

    return {view: closure(view) for view in direct}


# --- in files -----------------------------------------------------------------------------------------------------


def uncovered_files(folder: Path, places: Collection[str], *, apart: Collection[Path] = ()) -> list[str]:
    """Tables in files below the folder that hold people by the names of their columns and that no store looks into.

    Parameters
    ----------
    apart: folders that are searched by other ways, such as the database server's own.
    """
    missing = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not any(path.is_relative_to(one) for one in apart):
            missing += [place for place in _columns_of(path) if place not in places]
    return missing


def _columns_of(path: Path) -> list[str]:
    """The personal columns of a file: a database by table, any other table or document as a whole."""
    beginning = path.read_bytes()[:65_536]
    if beginning.startswith(b"SQLite format 3\0"):
        with closing(sqlite3.connect(path, timeout=30)) as connection:
            tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            return [
                f"{path}: {table}.{column}"
                for table in tables
                for _, column, *_ in connection.execute(f'PRAGMA table_info("{table}")')
                if is_personal(column) and f"{table}.{column}" not in _PROGRAMS
            ]
    if beginning.startswith(b"PAR1"):
        names = list(pl.read_parquet_schema(path))
    elif beginning.lstrip()[:1] in {b"{", b"["}:
        names = _keys(beginning.decode(errors="replace"))
    else:
        names = next(csv.reader(beginning.decode(errors="replace").splitlines()[:1]), [])
    return [str(path)] if any(map(is_personal, names)) else []


def _keys(text: str) -> list[str]:
    """The keys of a document, also of one that is cut; of lines of documents too."""
    return [json.loads(f'"{key}"') for key in re.findall(r'"([\w. -]+)"\s*:', text)]
