"""Columns of the reporting views, with types and comments, as the migrated database has them."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine, text

SCHEMA = "reporting"


@dataclass(frozen=True)
class Column:
    """One column of a view; `type` as Postgres writes it, such as `double precision`."""

    name: str
    type: str
    comment: str


@dataclass(frozen=True)
class View:
    """One view with its comment; columns in order."""

    comment: str
    columns: tuple[Column, ...]


def read(engine: Engine) -> dict[str, View]:
    """Every view of schema `reporting` by name."""
    with engine.connect() as connection:
        rows = connection.execute(text(_COLUMNS)).all()
    found: dict[str, tuple[str, list[Column]]] = {}
    for view, view_comment, name, type_, comment in rows:
        found.setdefault(view, (view_comment, []))[1].append(Column(name, type_, comment))
    return {view: View(comment, tuple(columns)) for view, (comment, columns) in found.items()}


_COLUMNS = f"""
SELECT c.relname, COALESCE(obj_description(c.oid, 'pg_class'), ''), a.attname,
       format_type(a.atttypid, NULL), COALESCE(col_description(c.oid, a.attnum), '')
FROM pg_class AS c
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = '{SCHEMA}'::regnamespace AND c.relkind = 'v'
ORDER BY c.relname, a.attnum
"""
