"""One person in the database: searched for and erased; each request recorded by a keyed hash."""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import psycopg
from psycopg import sql
from sqlalchemy import Connection, Engine, delete, func, insert, select, update

from db import cohort
from db.about import Holds, about, columns_that
from db.application import APPLICATION_COLUMNS
from db.cohort import CohortRows
from db.engine import connect, driver, transaction
from db.models import (
    PARTITIONED,
    SCHEMA,
    former_category,
    former_customer,
    former_distribution,
    former_risk,
    metadata,
    partition_name,
    privacy_request,
    scoring_run,
)
from db.people import mentions
from db.runs.partitions import EMPTIED_BY_ERASURES, partitions

_TABLES = metadata.sorted_tables


def keyed_hash(key: str, customer_id: int) -> str:
    """The person's name in the record of requests: nobody without the key can tell whose it is, or try all ids."""
    return hmac.digest(key.encode(), str(customer_id).encode(), "sha256").hex()


def record(engine: Engine, *, kind: str, customer_hash: str, by: str) -> int:
    """A new row of `privacy_request`; its request_id."""
    with transaction(engine) as connection:
        request_id: int = connection.execute(
            insert(privacy_request)
            .values(kind=kind, customer_hash=customer_hash, requested_by=by)
            .returning(privacy_request.c.request_id)
        ).scalar_one()
    return request_id


def complete(engine: Engine, request_id: int) -> None:
    """Note that the request was answered, now."""
    with transaction(engine) as connection:
        connection.execute(
            update(privacy_request)
            .where(privacy_request.c.request_id == request_id)
            .values(completed_at=func.clock_timestamp())
        )


def requests(engine: Engine, customer_hash: str) -> list[dict[str, Any]]:
    """Earlier requests of one person, the oldest first."""
    columns = [privacy_request.c[name] for name in ("kind", "requested_at", "requested_by", "completed_at")]
    query = select(*columns).where(privacy_request.c.customer_hash == customer_hash)
    with connect(engine) as connection:
        return [dict(row._mapping) for row in connection.execute(query.order_by(privacy_request.c.request_id))]


def erasures(engine: Engine) -> dict[str, datetime | None]:
    """Whose erasure the database knows of, by keyed hash, and when the last one ended; None for one that did not.

    Empty for a database of no such table, or of none at all.
    """
    with connect(engine) as connection:
        if connection.scalar(select(func.to_regclass(f"{SCHEMA}.{privacy_request.name}"))) is None:
            return {}
        query = (
            select(privacy_request.c.customer_hash, func.max(privacy_request.c.completed_at).label("ended"))
            .where(privacy_request.c.kind == "erase")
            .group_by(privacy_request.c.customer_hash)
        )
        return {row.customer_hash: row.ended for row in connection.execute(query)}


# --- erasure --------------------------------------------------------------------------------------------------

# As received: it may be written with zeros, spaces or decimals, and the value of the id's own column may be it.
_WRITTEN_ID = r"('^\s*0*' || %(id)s || '(\.0*)?\s*$')"
HIS_REJECTED = f"""(
    x.customer_id ~ {_WRITTEN_ID}
    OR (x.column_name = 'SK_ID_CURR' AND x.value ~ %(pattern)s)
    OR (x.run_id, x.row_number) IN (
        SELECT o.run_id, o.row_number FROM credit.rejected_application AS o WHERE o.customer_id ~ {_WRITTEN_ID}
    )
)"""


def parameters(customer_id: int) -> dict[str, Any]:
    """What the queries about one person take: the number, and a pattern that finds it where it stands whole."""
    return {"id": customer_id, "pattern": rf"(?<![\d.])0*{customer_id}(?!\d|\.\d*[1-9])"}


def find(engine: Engine, customer_id: int) -> dict[str, int]:
    """Every place in schema `credit` (see `LOOKED_AT`) that holds the id, with how many rows do."""
    with connect(engine) as connection:
        return _find(driver(connection), customer_id)


# The first version of Postgres in which samples can be removed.
CLEARS_SAMPLES = 180_000
LOOKED_AT = (
    "every column customer_id of every table, lists of similar customers, refused rows, unknown categories, ranges"
    " of customers by region,"
    " messages and file names of the ledger, the planner's statistics"
)


def _find(server: psycopg.Connection[Any], customer_id: int) -> dict[str, int]:
    found: dict[str, int] = {}
    for table, column in _columns(server):
        query = sql.SQL("SELECT count(*) FROM {} WHERE {} = %(id)s").format(
            sql.Identifier(SCHEMA, table), sql.Identifier(column)
        )
        _count(found, f"{SCHEMA}.{table}.{column}", _number(server, query, customer_id))
    for table, (condition, _) in _ELSEWHERE.items():
        query = sql.SQL(f"SELECT count(*) FROM {{}} AS x WHERE {condition}").format(sql.Identifier(SCHEMA, table))
        _count(found, f"{SCHEMA}.{table}", _number(server, query, customer_id))
    for text in _texts(server, customer_id):
        _count(found, f"{SCHEMA}.{text.table}.{text.column}", 1)
    _count(found, "planner statistics", len(_sampled(server, customer_id)))
    return found


def _sampled(server: psycopg.Connection[Any], customer_id: int) -> set[str]:
    """The tables whose planner statistics hold the id."""
    query = (
        "SELECT tablename::text FROM pg_stats WHERE schemaname = 'credit' AND attname = 'customer_id' AND"
        " concat_ws(' ', most_common_vals::text, histogram_bounds::text) ~ %(pattern)s"
    )
    return {name for (name,) in server.execute(query, parameters(customer_id))}


def _being_analysed(server: psycopg.Connection[Any]) -> set[str]:
    """The tables of customers that an ANALYZE has locked: it may read them as they were before an erasure."""
    query = (
        "SELECT c.relname::text FROM pg_locks AS l JOIN pg_class AS c ON c.oid = l.relation"
        " WHERE l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        " AND l.mode = 'ShareUpdateExclusiveLock' AND c.relkind = 'r' AND c.relnamespace = %s::regnamespace"
        " AND EXISTS (SELECT FROM pg_attribute WHERE attrelid = c.oid AND attname = 'customer_id')"
    )
    return {name for (name,) in server.execute(query, [SCHEMA])}


def _number(server: psycopg.Connection[Any], query: sql.Composed, customer_id: int) -> int:
    row = server.execute(query, parameters(customer_id)).fetchone()
    assert row is not None
    return int(row[0])


# Of what is no column of numbers: which of its rows are his, and how he is taken out.
_DELETE = "DELETE FROM credit.{table} AS x"
_CONDITIONS = {
    Holds.REFUSED: (HIS_REJECTED, _DELETE),
    Holds.RECEIVED: (f"x.{{column}} ~ {_WRITTEN_ID}", _DELETE),
    Holds.LISTS: ("%(id)s = ANY (x.{column})", _DELETE),
    Holds.RANGES: (
        "x.{column} @> %(id)s::bigint",
        "UPDATE credit.{table} AS x SET {column} = {column} - int8multirange(int8range(%(id)s, %(id)s, '[]'))",
    ),
}
_ELSEWHERE = {
    table.name: tuple(part.replace("{table}", table.name).replace("{column}", column) for part in _CONDITIONS[how])
    for table, column, how in columns_that(_TABLES, *_CONDITIONS)
}


def places() -> list[str]:
    """Every column of schema `credit` that holds people."""
    return [f"{SCHEMA}.{table.name}.{column}" for table, column, _ in columns_that(_TABLES)]


def _columns(server: psycopg.Connection[Any]) -> list[tuple[str, str]]:
    """(table, column) of every column of customers' numbers; partitioned tables as a whole."""
    return server.execute(
        "SELECT c.relname, a.attname"
        " FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid JOIN pg_type t ON t.oid = a.atttypid"
        " WHERE c.relnamespace = to_regnamespace(%s) AND c.relkind IN ('r', 'p')"
        "   AND (NOT c.relispartition) AND a.attnum > 0 AND NOT a.attisdropped"
        "   AND a.attname IN ('customer_id', 'sk_id_curr') AND t.typcategory = 'N'"
        " ORDER BY 1, 2",
        [SCHEMA],
    ).fetchall()


class _Text(NamedTuple):
    """A text that speaks of the person: its place, and what it says without the person."""

    table: str
    column: str
    key: str
    row: int
    cleaned: str


def _texts(server: psycopg.Connection[Any], customer_id: int) -> list[_Text]:
    """Every text that speaks of the person."""
    found = []
    for table, column, how in columns_that(_TABLES, Holds.MENTIONS, Holds.NAMES):
        (key,) = table.primary_key.columns.keys()
        query = sql.SQL("SELECT {key}, {column} FROM {table} WHERE position(%s IN {column}) > 0").format(
            key=sql.Identifier(key), column=sql.Identifier(column), table=sql.Identifier(SCHEMA, table.name)
        )
        for row, text in server.execute(query, [str(customer_id)]).fetchall():
            cleaned = mentions.without(text, customer_id, "erased", certain=how is Holds.NAMES)
            if cleaned.times:
                found.append(_Text(table.name, column, key, row, cleaned.content))
    return found


def numbers(engine: Engine) -> set[int]:
    """Every number in schema `credit` that may be a person's, for who knows people by a keyed hash only.

    Of the largest table, `shap_value`, no number is read: each of them has a score too. Nor are lists of similar
    customers: each in them is a former customer, and goes from both at once.
    """
    found: set[int] = set()
    with connect(engine) as connection:
        server = driver(connection)
        for table, column in _columns(server):
            if table != "shap_value":
                query = sql.SQL("SELECT DISTINCT {} FROM {}").format(
                    sql.Identifier(column), sql.Identifier(SCHEMA, table)
                )
                found.update(number for (number,) in server.execute(query) if number is not None)
        kinds = (Holds.REFUSED, Holds.RECEIVED, Holds.MENTIONS, Holds.NAMES)
        for written, column, _ in columns_that(_TABLES, *kinds):
            query = sql.SQL("SELECT DISTINCT {0} FROM {1} WHERE {0} ~ '[0-9]'").format(
                sql.Identifier(column), sql.Identifier(SCHEMA, written.name)
            )
            for (text,) in server.execute(query):
                found.update(map(int, re.findall(r"(?<!\d)\d{1,10}(?!\d)", text)))
    return found


def erase(engine: Engine, customer_id: int, *, describe: Callable[[Connection, int], None]) -> dict[str, int]:
    """Remove every row about one person from schema `credit`, in one transaction; rows removed by table.

    In every table with a customer_id his rows go, also in runs that are not published. If he was a former customer,
    what those runs tell of similar former customers goes for everybody, see `_forget_neighbourhoods`. The ledger's
    messages lose the number. Statistics over all applicants of a night and the models stay. The caller holds the
    run lock.

    Parameters
    ----------
    describe: called in the transaction for each model of which he was a former customer; says anew what is said of
        its former customers as a whole (quantiles, bitmaps), without him.
    """
    removed: dict[str, int] = {}
    with transaction(engine) as connection:
        server = driver(connection)
        models = connection.scalars(
            select(former_customer.c.model_id)
            .where(former_customer.c.customer_id == customer_id)
            .order_by(former_customer.c.model_id)
        ).all()
        # The one door through which what people decided can go, for this person and this transaction.
        server.execute("SELECT set_config('creditlens.erased_customer', %s, true)", [str(customer_id)])
        for table, column in _columns(server):
            statement = sql.SQL("DELETE FROM {} WHERE {} = %(id)s").format(
                sql.Identifier(SCHEMA, table), sql.Identifier(column)
            )
            _count(removed, table, server.execute(statement, parameters(customer_id)).rowcount)
        for table, (condition, change) in _ELSEWHERE.items():
            rows = server.execute(f"{change} WHERE {condition}".encode(), parameters(customer_id)).rowcount
            _count(removed, table, rows)
        for text in _texts(server, customer_id):
            statement = sql.SQL("UPDATE {} SET {} = %s WHERE {} = %s").format(
                sql.Identifier(SCHEMA, text.table), sql.Identifier(text.column), sql.Identifier(text.key)
            )
            _count(removed, text.table, server.execute(statement, [text.cleaned, text.row]).rowcount)
        for model_id in models:
            for table_name, forgotten in _forget_neighbourhoods(connection, model_id).items():
                _count(removed, table_name, forgotten)
            describe(connection, model_id)
    return removed


def _forget_neighbourhoods(connection: Connection, model_id: int) -> dict[str, int]:
    """Take away what the kept runs of a model know of similar former customers; how many rows by table.

    All of them go, not only those that he is in, until the next night counts without him: runs of before 0.4.0 did
    not write down who is in which, and those that were left would tell of the others that he was in them.
    """
    runs = select(scoring_run.c.run_id).where(scoring_run.c.model_id == model_id)
    return {
        table.name: connection.execute(delete(table).where(table.c.run_id.in_(runs))).rowcount
        for table in EMPTIED_BY_ERASURES
    }


def _count(removed: dict[str, int], table: str, rows: int) -> None:
    if rows:
        removed[table] = removed.get(table, 0) + rows


def readers(engine: Engine, role: str) -> set[str]:
    """The transactions of a role that are under way, by names that are not given twice while the server runs.

    Every transaction holds a lock on its own name, which every user may see; what others run is hidden.
    """
    with connect(engine) as connection:
        rows = driver(connection).execute(
            "SELECT l.virtualtransaction FROM pg_locks AS l JOIN pg_stat_activity AS a ON a.pid = l.pid"
            " WHERE l.locktype = 'virtualxid' AND a.usename = %s AND a.datname = current_database()",
            [role],
        )
        return {name for (name,) in rows}


def former_rows(connection: Connection, model_id: int) -> bytes:
    """The former customers of a model as CSV with a header: id, target, log_odds, the application's columns."""
    names = ["customer_id", "target", "log_odds", *(name for name, _ in APPLICATION_COLUMNS)]
    query = sql.SQL(
        "COPY (SELECT {columns} FROM {table} WHERE model_id = {model} ORDER BY customer_id)"
        " TO STDOUT (FORMAT csv, HEADER)"
    ).format(
        columns=sql.SQL(", ").join(map(sql.Identifier, names)),
        table=sql.Identifier(SCHEMA, former_customer.name),
        model=sql.Literal(model_id),
    )
    with driver(connection).cursor() as cursor, cursor.copy(query) as copy:
        return b"".join(bytes(part) for part in copy)


def replace_descriptions(
    connection: Connection,
    model_id: int,
    *,
    distributions: Sequence[Mapping[str, Any]],
    categories: Sequence[Mapping[str, Any]],
    risks: Sequence[Mapping[str, Any]],
    cohorts: CohortRows,
) -> None:
    """Put other quantiles, counts and bitmaps in place of what is said of a model's former customers as a whole."""
    for table, rows in (
        (former_distribution, distributions),
        (former_category, categories),
        (former_risk, risks),
    ):
        connection.execute(delete(table).where(table.c.model_id == model_id))
        connection.execute(insert(table), [{"model_id": model_id, **row} for row in rows])
    if cohort.known(connection, model_id):
        cohort.remove(connection, [model_id])
        cohort.load(connection, driver(connection), model_id, cohorts)


def scrub(engine: Engine, tables: Sequence[str], customer_id: int) -> list[str]:
    """VACUUM and ANALYZE what was touched: dead rows and the planner's samples go; the names of the tables.

    So do samples that hold the person although the rows have gone: an erasure may have been killed between the two,
    or an ANALYZE under way that began before it.
    The space of dead rows is freed for new ones. WAL and backups hold them until they are recycled or expire.
    """
    with connect(engine) as connection:
        server = driver(connection)
        partitioned = {table.name: table for table in PARTITIONED}
        names = [name for name in tables if name not in partitioned]
        if former_customer.name in tables:
            summed_up = [table.name for table in _TABLES if about(table).sums_up_former_customers]
            names += [name for name in summed_up if name not in names]
        names += [partition_name(partitioned[name], key) for name, key, _ in partitions(server) if name in tables]
        # In this order: what is being analysed either still is, or has left its samples.
        analysed = _being_analysed(server)
        sampled = _sampled(server, customer_id)
        held = analysed | sampled
        names += sorted(held - set(names))
        server.rollback()
        server.autocommit = True
        try:
            for name in names:
                table = sql.Identifier(SCHEMA, name)
                server.execute(sql.SQL("VACUUM (ANALYZE) {}").format(table))
                empty = server.execute(sql.SQL("SELECT NOT EXISTS (SELECT FROM {})").format(table)).fetchone()
                # Of a table without rows, ANALYZE keeps the samples that there were.
                if empty == (True,) and name in held and server.info.server_version >= CLEARS_SAMPLES:
                    server.execute("SELECT pg_clear_attribute_stats(%s, %s, 'customer_id', false)", [SCHEMA, name])
        finally:
            server.autocommit = False
    return names
