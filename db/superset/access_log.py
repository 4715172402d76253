"""Who looked at whom: Superset's log of requests and queries, as rows that a compliance officer can read.

Superset's log has what a browser asked for, whether the answer came from a cache or not. The view `VIEW` in
Superset's own database takes user, time, place and customer out of it; a role of its own reads it and nothing else.
It is taken away before Superset changes its tables and made again after.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg import sql
from psycopg.errors import InsufficientPrivilege
from psycopg.rows import dict_row
from sqlalchemy import URL, Engine

from db.access import passwords
from db.access.names import USUAL
from db.engine import connect, driver, open_session

SCHEMA = "compliance"
VIEW = f"{SCHEMA}.access_log"
READER = USUAL.compliance
# Superset's own, that the view is made from.
TABLES = frozenset(f"public.{name}" for name in ("logs", "query", "ab_user", "dashboards", "slices", "tables"))

COLUMNS: Mapping[str, str] = {
    "looked_at": "When, in UTC.",
    "username": "Who; empty for a user who is gone.",
    "kind": "view (a chart), list (a chart of many customers), export (a file), dashboard (opened), values (of a"
    " filter), samples (rows of a dataset), page (where people decide), or sql.",
    "customer_id": "The customer looked at; empty where many or none were asked for, and for SQL.",
    "dashboard": "Title of the dashboard, empty outside of one.",
    "chart": "Title of the chart, empty if it was none.",
    "dataset": "View that was asked.",
    "cached": "Whether the answer was taken from the cache.",
    "detail": "The filters as they were asked for, an export's format, or the SQL.",
    "customer_in_detail": "Application numbers that stand in the detail, as far as can be told: they may be none.",
}

# A request may hold what jsonb does not take, a NUL for one: such a row must not take the whole log away.
_PARSED = f"""
CREATE FUNCTION {SCHEMA}.parsed(said text) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog
AS $$
BEGIN
    RETURN said::jsonb;
EXCEPTION WHEN OTHERS THEN
    BEGIN
        RETURN regexp_replace(said, '\\\\u(0000|[dD][89a-fA-F][0-9a-fA-F]{{2}})', '?', 'g')::jsonb;
    EXCEPTION WHEN OTHERS THEN
        RETURN NULL;
    END;
END
$$
"""
_SELECT = f"""
CREATE VIEW {VIEW} AS
WITH body AS (
    SELECT l.id, l.dttm, l.user_id, l.action, l.dashboard_id, {SCHEMA}.parsed(l.json) AS body, l.json
    FROM public.logs AS l
    WHERE l.action IN (
        'ChartDataRestApi.data', 'dashboard', 'DatasourceRestApi.get_column_values', 'Datasource.samples',
        'SqlLabRestApi.export_csv', 'SqlLabRestApi.export_streaming_csv'
    )
),
asked AS (
    SELECT
        b.id,
        b.dttm,
        b.user_id,
        CASE b.action
            WHEN 'dashboard' THEN 'dashboard'
            WHEN 'DatasourceRestApi.get_column_values' THEN 'values'
            WHEN 'Datasource.samples' THEN 'samples'
            WHEN 'SqlLabRestApi.export_csv' THEN 'export'
            WHEN 'SqlLabRestApi.export_streaming_csv' THEN 'export'
            ELSE CASE WHEN b.body #>> '{{look,format}}' <> 'json' THEN 'export' ELSE 'chart' END
        END AS kind,
        COALESCE((b.body #>> '{{look,dashboard}}')::integer, b.dashboard_id) AS dashboard_id,
        (b.body #>> '{{look,chart}}')::integer AS chart_id,
        substring(COALESCE(b.body #>> '{{look,dataset}}', b.body ->> 'datasource_id') FROM '^\\d{{1,9}}$')::integer
            AS dataset_id,
        jsonb_path_exists(b.body, '$.is_cached[*] ? (@ == true)') AS cached,
        CASE
            WHEN b.action = 'ChartDataRestApi.data' THEN concat_ws(
                '; ',
                NULLIF(b.body #>> '{{look,format}}', 'json'),
                NULLIF(jsonb_path_query_array(b.body, '$.look.queries[*].filters[*]'), '[]')::text,
                NULLIF(jsonb_path_query_array(b.body, '$.look.queries[*].expressions[*]'), '[]')::text
            )
            WHEN b.action LIKE 'SqlLabRestApi.%' THEN concat_ws(
                '; ',
                'csv',
                (
                    SELECT q.sql
                    FROM public.query AS q
                    WHERE q.client_id
                        = COALESCE(b.body ->> 'client_id', substring(b.body ->> 'path' FROM '/export/([^/]+)/'))
                )
            )
            WHEN b.action = 'dashboard'
                THEN concat_ws('; ', b.body ->> 'native_filters', b.body ->> 'native_filters_key')
            WHEN b.action = 'DatasourceRestApi.get_column_values' THEN b.body ->> 'column_name'
            ELSE b.body ->> 'filters'
        END AS detail,
        -- An exact number, alone or in a list; anything else stays in the detail.
        ARRAY(
            SELECT DISTINCT substring(v.value #>> '{{}}' FROM '^\\d{{1,10}}$')
            FROM jsonb_path_query(b.body, '$.look.queries[*].filters[*] ? (@.col == "customer_id")') AS f (filter)
            CROSS JOIN LATERAL jsonb_path_query(f.filter, '$.val[*]') AS v (value)
            WHERE upper(f.filter ->> 'op') IN ('==', 'EQUALS', 'IN', '=')
                AND v.value #>> '{{}}' ~ '^\\d{{1,10}}$'
        ) AS customers
    FROM body AS b
    -- A chart's data that was refused before anything was asked is no look.
    WHERE b.action <> 'ChartDataRestApi.data' OR b.body ? 'look' OR b.body IS NULL
),
looks AS (
    SELECT
        a.dttm AT TIME ZONE 'UTC' AS looked_at,
        a.user_id,
        CASE WHEN a.kind = 'chart' THEN CASE WHEN c.customer IS NULL THEN 'list' ELSE 'view' END ELSE a.kind END
            AS kind,
        c.customer::bigint AS customer_id,
        a.dashboard_id,
        a.chart_id,
        a.dataset_id,
        a.cached,
        NULLIF(a.detail, '') AS detail
    FROM asked AS a
    LEFT JOIN LATERAL unnest(a.customers) AS c (customer) ON true
    UNION ALL
    SELECT
        to_timestamp(q.start_time / 1000),
        q.user_id,
        'sql',
        NULL,
        NULL,
        NULL,
        NULL,
        false,
        concat(q.sql, CASE WHEN q.status <> 'success' THEN ' -- ' || q.status END)
    FROM public.query AS q
    UNION ALL
    SELECT
        l.dttm AT TIME ZONE 'UTC',
        l.user_id,
        'page',
        substring({SCHEMA}.parsed(l.json) ->> 'customer_id' FROM '^\\d{{1,10}}$')::bigint,
        NULL,
        NULL,
        NULL,
        false,
        concat_ws('; ', substring(l.action FROM '[^.]+$'), {SCHEMA}.parsed(l.json) ->> 'act')
    FROM public.logs AS l
    WHERE l.action IN ('creditlens.decide', 'creditlens.letter', 'creditlens.review', 'creditlens.reviews')
)
SELECT
    k.looked_at,
    u.username::text AS username,
    k.kind,
    k.customer_id,
    d.dashboard_title::text AS dashboard,
    s.slice_name::text AS chart,
    t.table_name::text AS dataset,
    k.cached,
    k.detail,
    CASE
        WHEN k.customer_id IS NULL
            THEN ARRAY(
                SELECT DISTINCT m[1]::bigint
                FROM regexp_matches(k.detail, '(?<![\\d.])(\\d{{5,10}})(?:\\.0*)?(?![\\d.])', 'g') AS m
            )
        ELSE '{{}}'
    END AS customer_in_detail
FROM looks AS k
LEFT JOIN public.ab_user AS u ON u.id = k.user_id
LEFT JOIN public.dashboards AS d ON d.id = k.dashboard_id
LEFT JOIN public.slices AS s ON s.id = k.chart_id
LEFT JOIN public.tables AS t ON t.id = k.dataset_id
"""


def has_tables(url: URL) -> bool:
    """Whether Superset's own database has the tables that the view is made from."""
    with open_session(url) as connection:
        rows = connection.execute("SELECT schemaname || '.' || tablename FROM pg_tables").fetchall()
    return {name for (name,) in rows} >= TABLES


def make(url: URL, reader: str = READER) -> None:
    """Make the view anew in Superset's own database at `url`, whose tables must be there, for the role `reader`."""
    with open_session(url) as connection:
        _drop(connection)
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(SCHEMA)))
        connection.execute(_PARSED)
        connection.execute(_SELECT)
        comment = sql.SQL("COMMENT ON VIEW compliance.access_log IS {}")
        connection.execute(comment.format(sql.Literal("Who looked at which customer, when and where.")))
        for column, words in COLUMNS.items():
            connection.execute(
                sql.SQL("COMMENT ON COLUMN compliance.access_log.{} IS {}").format(
                    sql.Identifier(column), sql.Literal(words)
                )
            )
        if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [reader]).fetchone():
            for statement in (
                "GRANT USAGE ON SCHEMA compliance TO {}",
                "GRANT SELECT ON compliance.access_log TO {}",
                "GRANT EXECUTE ON FUNCTION compliance.parsed(text) TO {}",
            ):
                connection.execute(sql.SQL(statement).format(sql.Identifier(reader)))


def drop(url: URL) -> None:
    """Take the view away, so that Superset may change its tables."""
    with open_session(url) as connection:
        _drop(connection)


def _drop(connection: psycopg.Connection[Any]) -> None:
    connection.execute("SET LOCAL client_min_messages = warning")
    connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(SCHEMA)))


def ensure_reader(engine: Engine, database: str, password: str, reader: str = READER) -> bool:
    """Make the role `reader` that reads the view in `database` (of the same server) and nothing else; idempotent.

    Returns False, having changed nothing, where the server does not let us; the log is then read as the owner.
    """
    statements = (
        "ALTER ROLE {reader} LOGIN PASSWORD {password} CONNECTION LIMIT 5",
        "ALTER ROLE {reader} SET default_transaction_read_only = on",
        "ALTER ROLE {reader} SET statement_timeout = '60s'",
        "GRANT CONNECT ON DATABASE {database} TO {reader}",
    )
    try:
        with connect(engine) as connection, connection.begin():
            server = driver(connection)
            names = {
                "reader": sql.Identifier(reader),
                "database": sql.Identifier(database),
                "password": passwords.kept(server, reader, password),
            }
            known = server.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [reader]).fetchone()
            for statement in (*(() if known else ("CREATE ROLE {reader}",)), *statements):
                server.execute(sql.SQL(statement).format(**names))
    except InsufficientPrivilege:
        return False
    return True


def read(
    url: URL,
    *,
    customer: int | None = None,
    user: str | None = None,
    since: datetime | None = None,
    limit: int | None = 10_000,
) -> list[dict[str, Any]]:
    """Rows of the view, newest first, at most `limit` of them; those of one customer, of one user, from a time on.

    A customer's rows are also those where the number stands in the detail, such as SQL.
    """
    moment = since.replace(tzinfo=UTC) if since is not None and since.tzinfo is None else since
    with open_session(url, job=False, row_factory=dict_row) as connection:
        return connection.execute(
            sql.SQL(
                "SELECT {columns} FROM compliance.access_log"
                " WHERE (%(customer)s::bigint IS NULL OR customer_id = %(customer)s"
                "        OR %(customer)s = ANY (customer_in_detail))"
                " AND (%(user)s::text IS NULL OR username = %(user)s)"
                " AND (%(since)s::timestamptz IS NULL OR looked_at >= %(since)s)"
                " ORDER BY looked_at DESC LIMIT %(limit)s"
            ).format(columns=sql.SQL(", ").join(map(sql.Identifier, COLUMNS))),
            {"customer": customer, "user": user, "since": moment, "limit": limit},
        ).fetchall()
