"""What the database holds about one person: read, erased, searched for; each request recorded by a keyed hash."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row
from sqlalchemy import URL, Connection, Engine, delete, func, insert, select, update

from db import cohort
from db.application import APPLICATION_COLUMNS
from db.cohort import CohortRows
from db.engine import connect, psql_url, transaction
from db.models import (
    RUN_PARTITIONED,
    SCHEMA,
    former_category,
    former_customer,
    former_distribution,
    partition_name,
    privacy_request,
)
from db.runs import driver
from db.staging import partitions

# Superset keeps what people chose (a customer, say) here, as values that only it can read.
_SUPERSET_STORES = {"key_value": "value", "cache": "value"}


def keyed_hash(key: str, customer_id: int) -> str:
    """The person's name in the record of requests: nobody without the key can tell whose it is, or try all ids."""
    return hmac.new(key.encode(), str(customer_id).encode(), hashlib.sha256).hexdigest()


def id_pattern(customer_id: int) -> str:
    """A regular expression (Postgres and Python) for the id as a number of its own in a text."""
    return rf"(?<![\d.])0*{customer_id}(?!\d)"


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


# --- access ---------------------------------------------------------------------------------------------------

# Categories and flags are held as codes; words, units and digits are the dictionary's.
_IN_WORDS = """
    f.name AS column_name, f.label_en, f.label_fr, f.description_en, f.description_fr,
    CASE WHEN f.kind IN ('category', 'flag') THEN reporting.category_en({code}, k.label_en)
         ELSE reporting.quantity_en({number} * f.display_scale, f.display_decimals, f.unit_en) END AS value_en,
    CASE WHEN f.kind IN ('category', 'flag') THEN reporting.category_fr({code}, k.label_fr)
         ELSE reporting.quantity_fr({number} * f.display_scale, f.display_decimals, f.unit_fr) END AS value_fr,
    CASE WHEN f.kind IN ('category', 'flag') THEN k.value ELSE {number}::text END AS value
"""
_WIDE_IN_WORDS = _IN_WORDS.format(
    code="CASE WHEN f.kind IN ('category', 'flag') THEN e.value::numeric::smallint END",
    number="e.value::double precision",
)
_APPLICATION = f"""
    SELECT a.run_id, r.as_of, r.source_name, {_WIDE_IN_WORDS}
    FROM credit.new_customer AS a
    JOIN credit.scoring_run AS r ON r.run_id = a.run_id
    CROSS JOIN jsonb_each_text(to_jsonb(a)) AS e
    JOIN credit.feature AS f ON f.name = upper(e.key) AND f.kind <> 'id'
    LEFT JOIN credit.feature_category AS k
        ON k.feature_id = f.feature_id AND f.kind IN ('category', 'flag') AND k.code = e.value::numeric
    WHERE a.customer_id = %(id)s
    ORDER BY r.as_of, a.run_id, f.feature_id
"""
_FORMER = f"""
    SELECT a.model_id, m.trained_at, a.target, a.score, a.default_probability, a.log_odds, {_WIDE_IN_WORDS}
    FROM credit.former_customer AS a
    JOIN credit.model_version AS m ON m.model_id = a.model_id
    CROSS JOIN jsonb_each_text(to_jsonb(a)) AS e
    JOIN credit.feature AS f ON f.name = upper(e.key) AND f.kind <> 'id'
    LEFT JOIN credit.feature_category AS k
        ON k.feature_id = f.feature_id AND f.kind IN ('category', 'flag') AND k.code = e.value::numeric
    WHERE a.customer_id = %(id)s
    ORDER BY a.model_id, f.feature_id
"""
_SCORES = """
    WITH every AS (
        SELECT customer_id, run_id, log_odds, default_probability, score, band, decision, percentile,
               true AS details_kept
        FROM credit.score
        UNION ALL
        SELECT customer_id, run_id, log_odds, default_probability, score, band, decision, percentile, false
        FROM credit.past_score
    )
    SELECT s.run_id, r.as_of, r.published_at, r.model_id, m.base_value, s.score, s.default_probability, s.log_odds,
           s.percentile, s.band, b.label_en AS band_en, b.label_fr AS band_fr, s.decision,
           b.decision_en, b.decision_fr, s.details_kept
    FROM every AS s
    JOIN credit.scoring_run AS r ON r.run_id = s.run_id
    JOIN credit.model_version AS m ON m.model_id = r.model_id
    LEFT JOIN credit.score_band AS b ON b.band = s.band
    WHERE s.customer_id = %(id)s
    ORDER BY r.as_of, s.run_id
"""
_CONTRIBUTIONS = """
    SELECT v.run_id, r.as_of, {words}, v.contribution,
           v.contribution * reporting.points_per_log_odds(m.base_value, s.log_odds) AS score_points, v.rank
    FROM credit.shap_value AS v
    JOIN credit.score AS s ON s.run_id = v.run_id AND s.customer_id = v.customer_id
    JOIN credit.scoring_run AS r ON r.run_id = v.run_id
    JOIN credit.model_version AS m ON m.model_id = r.model_id
    JOIN credit.feature AS f ON f.feature_id = v.feature_id
    LEFT JOIN credit.feature_category AS k ON k.feature_id = v.feature_id AND k.code = v.category_code
    WHERE v.customer_id = %(id)s
    ORDER BY r.as_of, v.run_id, v.rank
""".format(words=_IN_WORDS.format(code="v.category_code", number="v.numeric_value"))
_REJECTED = """
    SELECT x.run_id, r.as_of, r.source_name, x.row_number, x.customer_id, x.column_name, x.rule, x.value
    FROM credit.rejected_application AS x
    JOIN credit.scoring_run AS r ON r.run_id = x.run_id
    WHERE {his}
    ORDER BY r.as_of, x.run_id, x.row_number
"""
# As received: it may be written with zeros, spaces or decimals, and the value of the id's own column may be it.
_WRITTEN_ID = r"('^\s*0*' || %(id)s || '(\.0*)?\s*$')"
_HIS_REJECTED = f"""(
    x.customer_id ~ {_WRITTEN_ID}
    OR (x.column_name = 'SK_ID_CURR' AND x.value ~ %(pattern)s)
    OR (x.run_id, x.row_number) IN (
        SELECT o.run_id, o.row_number FROM credit.rejected_application AS o WHERE o.customer_id ~ {_WRITTEN_ID}
    )
)"""


def everything(engine: Engine, customer_id: int) -> dict[str, list[dict[str, Any]]]:
    """All that is held about one person, in codes and in words of both languages, as of one moment.

    Returns rows of `applications` and `former` (one per run or model and column), `scores` (one per run, dropped
    details included), `contributions` (one per retained run and feature) and `rejected`.
    """
    queries = {
        "applications": _APPLICATION,
        "scores": _SCORES,
        "contributions": _CONTRIBUTIONS,
        "rejected": _REJECTED.format(his=_HIS_REJECTED),
        "former": _FORMER,
    }
    with connect(engine) as connection:
        connection = connection.execution_options(isolation_level="REPEATABLE READ")
        with driver(connection).cursor(row_factory=dict_row) as cursor:
            return {name: _rows(cursor, query, customer_id) for name, query in queries.items()}


def _rows(cursor: psycopg.Cursor[dict[str, Any]], query: str, customer_id: int) -> list[dict[str, Any]]:
    return cursor.execute(query, _parameters(customer_id)).fetchall()


def _parameters(customer_id: int) -> dict[str, Any]:
    return {"id": customer_id, "pattern": id_pattern(customer_id)}


# --- erasure --------------------------------------------------------------------------------------------------


def find(engine: Engine, customer_id: int) -> dict[str, int]:
    """Every place in schema `credit` that holds the id, with how many rows do; empty if none does.

    Looks into every column named customer_id of every table there is, into every text, and into the planner's
    statistics, which keep values of columns. Tables of counts and of the audit hold numbers of rows, no ids.
    """
    with connect(engine) as connection:
        return _find(driver(connection), customer_id)


def _find(server: psycopg.Connection[Any], customer_id: int) -> dict[str, int]:
    found = {}
    for table, column, kind in _columns(server):
        condition = "{column} = %(id)s" if kind == "number" else "{column}::text ~ %(pattern)s"
        row = server.execute(
            sql.SQL("SELECT count(*) FROM {table} WHERE " + condition).format(
                table=sql.Identifier(SCHEMA, table), column=sql.Identifier(column)
            ),
            _parameters(customer_id),
        ).fetchone()
        if row and row[0]:
            found[f"{SCHEMA}.{table}.{column}"] = row[0]
    row = server.execute(
        f"SELECT count(*) FROM credit.rejected_application AS x WHERE {_HIS_REJECTED}", _parameters(customer_id)
    ).fetchone()
    if row and row[0]:
        found[f"{SCHEMA}.rejected_application"] = row[0]
    row = server.execute(
        "SELECT count(*) FROM credit.customer_region WHERE customers @> %(id)s::bigint", _parameters(customer_id)
    ).fetchone()
    if row and row[0]:
        found[f"{SCHEMA}.customer_region"] = row[0]
    row = server.execute(
        "SELECT count(*) FROM pg_stats WHERE schemaname = %(schema)s AND attname = 'customer_id' AND"
        " concat_ws(' ', most_common_vals::text, histogram_bounds::text) ~ %(pattern)s",
        {"schema": SCHEMA, **_parameters(customer_id)},
    ).fetchone()
    if row and row[0]:
        found["planner statistics"] = row[0]
    return found


def _columns(server: psycopg.Connection[Any]) -> list[tuple[str, str, str]]:
    """(table, column, "number" or "text") of everything that can hold an id; partitioned tables as a whole."""
    return server.execute(
        "SELECT c.relname, a.attname, CASE WHEN t.typcategory = 'N' THEN 'number' ELSE 'text' END"
        " FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid JOIN pg_type t ON t.oid = a.atttypid"
        " WHERE c.relnamespace = to_regnamespace(%(schema)s) AND c.relkind IN ('r', 'p')"
        "   AND (NOT c.relispartition) AND a.attnum > 0 AND NOT a.attisdropped"
        "   AND (a.attname IN ('customer_id', 'sk_id_curr') AND t.typcategory = 'N' OR t.typcategory = 'S')"
        "   AND c.relname <> ALL(%(apart)s)"
        " ORDER BY 1, 2",
        {"schema": SCHEMA, "apart": _APART},
    ).fetchall()


_DICTIONARY = ("feature", "feature_category", "score_band", "cohort_option", "cohort_bin")
# The dictionary's words, the audit's numbers of rows; rejected rows have a condition of their own.
_APART = ["run_check", "rejected_application", *_DICTIONARY]


def erase(engine: Engine, customer_id: int, *, describe: Callable[[Connection, int], None]) -> dict[str, int]:
    """Remove every row about one person from schema `credit`, in one transaction; rows removed by table.

    In every table with a customer_id his rows go, also in runs that are not published. The ledger's messages lose
    the number. Statistics over all applicants of a night and the models stay. The caller holds the run lock.

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
        for table, column, kind in _columns(server):
            if kind == "number":
                statement = "DELETE FROM {table} WHERE {column} = %(id)s"
                _count(removed, table, _execute(server, table, statement, column, customer_id))
        rejected = f"DELETE FROM credit.rejected_application AS x WHERE {_HIS_REJECTED}"
        _count(removed, "rejected_application", server.execute(rejected, _parameters(customer_id)).rowcount)
        located = (
            "UPDATE credit.customer_region SET customers ="
            " customers - int8multirange(int8range(%(id)s, %(id)s, '[]')) WHERE customers @> %(id)s::bigint"
        )
        _count(removed, "customer_region", server.execute(located, _parameters(customer_id)).rowcount)
        for table, column, kind in _columns(server):
            if kind == "text":
                statement = (
                    "UPDATE {table} SET {column} = regexp_replace({column}, %(pattern)s, 'erased', 'g')"
                    " WHERE {column} ~ %(pattern)s"
                )
                _count(removed, table, _execute(server, table, statement, column, customer_id))
        for model_id in models:
            describe(connection, model_id)
    return removed


def _count(removed: dict[str, int], table: str, rows: int) -> None:
    if rows:
        removed[table] = removed.get(table, 0) + rows


def _execute(server: psycopg.Connection[Any], table: str, statement: str, column: str, customer_id: int) -> int:
    return server.execute(
        sql.SQL(statement).format(table=sql.Identifier(SCHEMA, table), column=sql.Identifier(column)),
        _parameters(customer_id),
    ).rowcount


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
    cohorts: CohortRows,
) -> None:
    """Put other quantiles, counts and bitmaps in place of what is said of a model's former customers as a whole."""
    for table, rows in ((former_distribution, distributions), (former_category, categories)):
        connection.execute(delete(table).where(table.c.model_id == model_id))
        connection.execute(insert(table), [{"model_id": model_id, **row} for row in rows])
    if cohort.known(connection, model_id):
        cohort.remove(connection, [model_id])
        cohort.load(connection, driver(connection), model_id, cohorts)


_DESCRIPTIONS = (
    *("former_distribution", "former_category"),
    *("cohort_option", "cohort_feature", "cohort_bin", "cohort_member", "cohort_slice"),
)


def scrub(engine: Engine, tables: Sequence[str]) -> list[str]:
    """VACUUM and ANALYZE what was touched: dead rows and the planner's samples go; the names of the tables.

    The space of dead rows is freed for new ones. WAL and backups hold them until they are recycled or expire.
    """
    with connect(engine) as connection:
        server = driver(connection)
        partitioned = {table.name: table for table in (*RUN_PARTITIONED, former_customer)}
        names = [name for name in tables if name not in partitioned]
        names += _DESCRIPTIONS if former_customer.name in tables else ()
        names += [partition_name(partitioned[name], key) for name, key, _ in partitions(server) if name in tables]
        server.rollback()
        server.autocommit = True
        try:
            for name in names:
                server.execute(sql.SQL("VACUUM (ANALYZE) {}").format(sql.Identifier(SCHEMA, name)))
        finally:
            server.autocommit = False
    return names


# --- Superset's own database ------------------------------------------------------------------------------------


def find_in_superset(url: URL, customer_id: int) -> dict[str, int]:
    """The same in Superset's own database: texts, and what it stores of people's choices."""
    found = {}
    with psycopg.connect(psql_url(url), connect_timeout=10) as connection:
        for table, column in _superset_columns(connection):
            row = connection.execute(
                sql.SQL("SELECT count(*) FROM {} WHERE {}::text ~ %(pattern)s").format(
                    sql.Identifier(table), sql.Identifier(column)
                ),
                _parameters(customer_id),
            ).fetchone()
            if row and row[0]:
                found[f"superset.{table}.{column}"] = row[0]
        for table, column in _superset_stores(connection).items():
            row = connection.execute(
                sql.SQL("SELECT count(*) FROM {} WHERE position(%(bytes)s in {}) > 0").format(
                    sql.Identifier(table), sql.Identifier(column)
                ),
                {"bytes": str(customer_id).encode()},
            ).fetchone()
            if row and row[0]:
                found[f"superset.{table}.{column}"] = row[0]
    return found


def erase_in_superset(url: URL, customer_id: int) -> dict[str, int]:
    """Take the id out of Superset's own database; rows touched by table.

    What people had chosen goes as a whole. In its log of who looked at what, the number becomes 0: that somebody
    looked stays known, at whom does not.
    """
    touched: dict[str, int] = {}
    with psycopg.connect(psql_url(url), connect_timeout=10) as connection:
        for table, column in _superset_stores(connection).items():
            rows = connection.execute(
                sql.SQL("DELETE FROM {} WHERE position(%(bytes)s in {}) > 0").format(
                    sql.Identifier(table), sql.Identifier(column)
                ),
                {"bytes": str(customer_id).encode()},
            ).rowcount
            _count(touched, f"superset.{table}", rows)
        for table, column in _superset_columns(connection):
            rows = connection.execute(
                sql.SQL(
                    "UPDATE {table} SET {column} = regexp_replace({column}::text, %(pattern)s, '0', 'g'){cast}"
                    " WHERE {column}::text ~ %(pattern)s"
                ).format(
                    table=sql.Identifier(table),
                    column=sql.Identifier(column),
                    cast=sql.SQL(_superset_cast(connection, table, column)),
                ),
                _parameters(customer_id),
            ).rowcount
            _count(touched, f"superset.{table}", rows)
        connection.commit()
        connection.autocommit = True
        for name in touched:
            connection.execute(sql.SQL("VACUUM (ANALYZE) {}").format(sql.Identifier(name.partition(".")[2])))
    return touched


def _superset_columns(connection: psycopg.Connection[Any]) -> list[tuple[str, str]]:
    return connection.execute(
        "SELECT table_name, column_name FROM information_schema.columns JOIN information_schema.tables"
        " USING (table_schema, table_name) WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"
        " AND data_type IN ('text', 'character varying', 'json', 'jsonb') ORDER BY 1, 2"
    ).fetchall()


def _superset_cast(connection: psycopg.Connection[Any], table: str, column: str) -> str:
    row = connection.execute(
        "SELECT data_type FROM information_schema.columns WHERE table_schema = 'public' AND table_name = %s"
        " AND column_name = %s",
        [table, column],
    ).fetchone()
    return f"::{row[0]}" if row and row[0] in {"json", "jsonb"} else ""


def _superset_stores(connection: psycopg.Connection[Any]) -> Mapping[str, str]:
    rows = connection.execute(
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
        " AND data_type = 'bytea' AND table_name = ANY(%s)",
        [list(_SUPERSET_STORES)],
    ).fetchall()
    return {table: column for table, column in rows if _SUPERSET_STORES[table] == column}
