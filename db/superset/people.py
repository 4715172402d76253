"""People's numbers in Superset's own database: where they can be, found and taken out.

Three kinds of places. What people said, chose and asked (`SAID`) is searched whole. What is filed for them as bytes
(`_FILED`: filters, permalinks) goes as a row. What others rely on (`ASSETS`: charts, dashboards, datasets) may name
a person too, in a filter on the customer or in a title, but is full of other numbers: there only what is said to be
a customer's number counts (see db.people.mentions). Everything else in that database, such as users, permissions,
digests and UUIDs, is neither searched nor touched.
"""

from __future__ import annotations

import json
import pickletools
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy import URL

from db.engine import open_session
from db.people import mentions

SAID: Mapping[str, tuple[str, ...]] = {
    "annotation": ("short_descr", "long_descr", "json_metadata"),
    "keyvalue": ("value",),
    "logs": ("json", "referrer"),
    "query": ("sql", "select_sql", "executed_sql", "error_message", "extra_json", "tab_name"),
    "report_execution_log": ("error_message", "value_row_json"),
    "saved_query": ("sql", "label", "description", "extra_json", "template_parameters"),
    "tab_state": ("sql", "label", "extra_json", "template_params"),
    "tasks": ("task_name", "payload", "properties"),
}
ASSETS: Mapping[str, tuple[str, ...]] = {
    "annotation_layer": ("name", "descr"),
    "dashboards": ("dashboard_title", "description", "json_metadata", "position_json"),
    "report_schedule": ("name", "description", "sql", "extra_json", "last_value_row_json"),
    "row_level_security_filters": ("name", "description", "clause"),
    "slices": ("slice_name", "description", "params", "query_context"),
    "sql_metrics": ("expression", "description"),
    "table_columns": ("expression", "description"),
    "tag": ("name", "description"),
    "tables": ("sql", "description", "fetch_values_predicate", "template_params"),
}
_FILED = "key_value"
_FILED_BY_PEOPLE = ("superset_metastore_cache", "dashboard_permalink", "explore_permalink", "sqllab_permalink")


def find(url: URL, customer_id: int) -> dict[str, int]:
    """Places that hold the person, with how many rows do. Raises psycopg.Error if the database is not reached."""
    found: dict[str, int] = {}
    with open_session(url) as connection:
        for table, column, _, _ in _texts(connection, customer_id):
            place = f"superset.{table}.{column}"
            found[place] = found.get(place, 0) + 1
        filed = sum(1 for _ in _filed(connection, customer_id))
    return found | ({f"superset.{_FILED}.value": filed} if filed else {})


def places() -> list[str]:
    """Every column that `find` looks into."""
    columns = {**SAID, **ASSETS, _FILED: ("value",)}
    return [f"superset.{table}.{column}" for table, names in columns.items() for column in names]


def looked_at() -> str:
    """Which places `find` looks into, for people."""
    places = [f"{table} ({', '.join(columns)})" for table, columns in {**SAID, _FILED: ("value",)}.items()]
    certain = ", ".join(ASSETS)
    return f"{'; '.join(sorted(places))}; of {certain}: filters, expressions and titles that name a customer"


def erase(url: URL, customer_id: int) -> dict[str, int]:
    """Take the person out; rows touched by table.

    What people had chosen goes as a whole. Elsewhere the number becomes 0: that somebody looked stays known, at
    whom does not, and a saved chart of one customer shows none.
    """
    touched: dict[str, int] = {}
    with open_session(url) as connection:
        for row in list(_filed(connection, customer_id)):
            connection.execute("DELETE FROM key_value WHERE id = %s", [row])
            touched[f"superset.{_FILED}"] = touched.get(f"superset.{_FILED}", 0) + 1
        for table, column, row, content in list(_texts(connection, customer_id)):
            connection.execute(
                sql.SQL("UPDATE {} SET {} = %s WHERE id = %s").format(
                    sql.Identifier(table), sql.Identifier(column)
                ),
                [content, row],
            )
            touched[f"superset.{table}"] = touched.get(f"superset.{table}", 0) + 1
        connection.commit()
        connection.autocommit = True
        for name in touched:
            connection.execute(sql.SQL("VACUUM (ANALYZE) {}").format(sql.Identifier(name.partition(".")[2])))
    return touched


def numbers(url: URL) -> set[int]:
    """Every number that may be a person's, for who knows people by a keyed hash only."""
    found: set[int] = set()
    with open_session(url) as connection:
        for table, column, _ in _places(connection):
            rows = connection.execute(
                sql.SQL("SELECT DISTINCT m[1]::bigint FROM {}, regexp_matches({}, {}, 'g') AS m").format(
                    sql.Identifier(table), sql.Identifier(column), sql.Literal(_ANY_NUMBER)
                )
            )
            found.update(number for (number,) in rows)
        if _there(connection, _FILED):
            with connection.cursor("filed") as cursor:
                cursor.execute("SELECT value FROM key_value WHERE resource = ANY(%s)", [list(_FILED_BY_PEOPLE)])
                for (value,) in cursor:
                    found.update(map(int, re.findall(rb"(?<!\d)\d{1,10}(?!\d)", value)))
    return found


_ANY_NUMBER = r"(?<!\d)0*(\d{1,10})(?!\d)"


# --- texts ----------------------------------------------------------------------------------------------------


def _places(connection: psycopg.Connection[Any]) -> list[tuple[str, str, bool]]:
    """(table, column, whether it is an asset's) of what there is of the places: versions of Superset differ."""
    rows = connection.execute(
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
        " AND data_type IN ('text', 'character varying') AND table_name = ANY(%s) ORDER BY 1, 2",
        [[*SAID, *ASSETS]],
    ).fetchall()
    return [
        (table, column, table in ASSETS)
        for table, column in rows
        if column in SAID.get(table, ()) or column in ASSETS.get(table, ())
    ]


def _texts(connection: psycopg.Connection[Any], customer_id: int) -> Iterator[tuple[str, str, int, str]]:
    """(table, column, row, the text without the person) of every text that speaks of the person."""
    others = _column_names(connection)
    for table, column, asset in _places(connection):
        query = sql.SQL("SELECT id, {column} FROM {table} WHERE position(%s IN {column}) > 0").format(
            column=sql.Identifier(column), table=sql.Identifier(table)
        )
        # The log of a year does not fit into memory.
        with connection.cursor(f"places_{table}_{column}") as cursor:
            cursor.execute(query, [str(customer_id)])
            for row, content in cursor:
                found = mentions.without_in(content, customer_id, others=others, certain=asset)
                if found.times:
                    yield table, column, row, found.content


def _column_names(connection: psycopg.Connection[Any]) -> Collection[str]:
    """Columns of the datasets: what is compared with one of them is no person's number."""
    if not _there(connection, "table_columns"):
        return mentions.COLUMNS
    rows = connection.execute("SELECT DISTINCT lower(column_name) FROM table_columns").fetchall()
    return mentions.COLUMNS | ({name for (name,) in rows} - mentions.PERSON)


def _there(connection: psycopg.Connection[Any], table: str) -> bool:
    return connection.execute("SELECT to_regclass(%s)", [f"public.{table}"]).fetchone() != (None,)


# --- what is filed as bytes -------------------------------------------------------------------------------------


def _filed(connection: psycopg.Connection[Any], customer_id: int) -> Iterator[int]:
    """Rows that hold what somebody chose of this person."""
    if not _there(connection, _FILED):
        return
    others = _column_names(connection)
    rows = connection.execute(
        "SELECT id, value FROM key_value WHERE resource = ANY(%s) AND position(%s IN value) > 0",
        [list(_FILED_BY_PEOPLE), str(customer_id).encode()],
    ).fetchall()
    for row, value in rows:
        if any(mentions.without_in(text, customer_id, others=others).times for text in _inside(value)):
            yield row


def _inside(value: bytes) -> list[str]:
    """The texts of a filed value: itself if it is JSON, else those in the pickle, which is read and never run."""
    try:
        json.loads(value)
        return [value.decode()]
    except ValueError:
        pass
    try:
        texts = [argument for _, argument, _ in pickletools.genops(value) if isinstance(argument, str)]
    except (ValueError, IndexError):
        # Neither: whatever it is, it is searched as it stands.
        return [value.decode("latin-1")]
    # A random key is no text, whatever digits are in it.
    return [text for text in texts if not _is_key(text)]


def _is_key(text: str) -> bool:
    return len(text) >= 16 and text.replace("-", "").replace("_", "").isalnum() and not text.isdigit()
