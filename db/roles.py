"""Roles and grants: readers see schema `reporting` and nothing else, the jobs write runs and models."""

from __future__ import annotations

from collections.abc import Mapping

from psycopg import sql
from psycopg.errors import InsufficientPrivilege
from sqlalchemy import Connection, Engine, text

from db.embedded import WRITER
from db.engine import connect, transaction
from db.models import REPORTING, RUN_PARTITIONED, SCHEMA, former_customer
from db.portfolios import POLICY_FUNCTIONS, hand_over_views
from db.runs import driver
from db.staging import partitions

READER = "creditlens_reader"
ANALYST = "creditlens_analyst"
DASHBOARD = "creditlens_dashboard"
_LOGINS = (ANALYST, DASHBOARD)


def ensure_readers(engine: Engine, passwords: Mapping[str, str]) -> bool:
    """Make or update the reading roles and what they may do; idempotent.

    Parameters
    ----------
    passwords: password by login role (`creditlens_analyst`, `creditlens_dashboard`).

    Returns False, having changed nothing, where the server does not let us make roles: then its administrator
    makes them and grants `creditlens_reader`.
    """
    try:
        with transaction(engine) as connection:
            for role in (READER, *_LOGINS):
                known = connection.scalar(text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": role})
                if not known:
                    driver(connection).execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(role)))
            for role in _LOGINS:
                for statement in _LOGIN_STATEMENTS:
                    driver(connection).execute(
                        sql.SQL(statement).format(
                            role=sql.Identifier(role),
                            reader=sql.Identifier(READER),
                            password=sql.Literal(passwords[role]),
                        )
                    )
            _grant(engine, connection)
    except InsufficientPrivilege:
        return False
    return True


_LOGIN_STATEMENTS = (
    "ALTER ROLE {role} LOGIN PASSWORD {password} CONNECTION LIMIT 40",
    "GRANT {reader} TO {role}",
    "ALTER ROLE {role} SET default_transaction_read_only = on",
    # One night for a whole transaction, and what publishing relies on: see db.runs.publish.
    "ALTER ROLE {role} SET default_transaction_isolation = 'repeatable read'",
    "ALTER ROLE {role} SET statement_timeout = '30s'",
    "ALTER ROLE {role} SET idle_in_transaction_session_timeout = '60s'",
    "ALTER ROLE {role} SET search_path = reporting",
    # Estimates over partitions not yet pruned reach its threshold, and compiling takes longer than the query.
    "ALTER ROLE {role} SET jit = off",
)


def _grant(engine: Engine, connection: Connection) -> None:
    """Everything readers may do, said anew: views that were made again come without grants."""
    database = engine.url.database or "postgres"
    hand_over_views(connection, READER)
    for statement in (
        "REVOKE ALL ON DATABASE {database} FROM PUBLIC",
        "REVOKE ALL ON SCHEMA public FROM PUBLIC",
        "GRANT CONNECT ON DATABASE {database} TO {reader}",
        "GRANT USAGE ON SCHEMA {reporting} TO {reader}",
        "GRANT SELECT ON ALL TABLES IN SCHEMA {reporting} TO {reader}",
        "REVOKE ALL ON ALL FUNCTIONS IN SCHEMA {reporting} FROM PUBLIC",
        "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA {reporting} TO {reader}",
    ):
        driver(connection).execute(
            sql.SQL(statement).format(
                database=sql.Identifier(database),
                reader=sql.Identifier(READER),
                reporting=sql.Identifier(REPORTING),
            )
        )


# Attaching and detaching need the ownership of the partitioned tables; nothing else is the writer's.
_WRITERS_OWN = (*RUN_PARTITIONED, former_customer)
_READ_ONLY = (
    *("feature", "feature_category", "score_band"),
    *("portfolio_state", "advisor_portfolio", "customer_region"),
)
_OPERATORS_OWN = ("pointer_move", "privacy_request")


def ensure_writer(engine: Engine, password: str) -> bool:
    """Make or update the role of the nightly job and of training; idempotent.

    It may write schema `credit` but for the dictionary and the operators' records, and owns the tables that are
    partitioned by run or model, because attaching a partition takes that. It makes no roles, changes no schema and
    sees no view.

    Returns False, having changed nothing, where the server does not let us make it; then the job runs as whoever
    the settings name.
    """
    try:
        with transaction(engine) as connection:
            known = connection.scalar(text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": WRITER})
            names = {
                "writer": sql.Identifier(WRITER),
                "database": sql.Identifier(engine.url.database or "postgres"),
                "credit": sql.Identifier(SCHEMA),
                "password": sql.Literal(password),
                "read_only": _tables(*_READ_ONLY),
                "apart": _tables(*_OPERATORS_OWN),
                "policies": sql.SQL(", ").join(sql.SQL(f"{SCHEMA}.{name}") for name in POLICY_FUNCTIONS),
            }
            for statement in (*(() if known else ("CREATE ROLE {writer}",)), *_WRITER_STATEMENTS):
                driver(connection).execute(sql.SQL(statement).format(**names))
            parts = [f"{table}_{'m' if table == former_customer.name else 'r'}{key:08d}"
                     for table, key, _ in partitions(driver(connection))]  # fmt: skip
            for table in (*(table.name for table in _WRITERS_OWN), *parts):
                statement = sql.SQL("ALTER TABLE {} OWNER TO {}").format(_tables(table), sql.Identifier(WRITER))
                driver(connection).execute(statement)
    except InsufficientPrivilege:
        return False
    return True


def has_writer(engine: Engine) -> bool:
    """Whether the runs of this database are the writer's."""
    query = text(
        "SELECT 1 FROM pg_class AS c JOIN pg_roles AS r ON r.oid = c.relowner"
        " WHERE c.oid = to_regclass('credit.score') AND r.rolname = :role"
    )
    with connect(engine) as connection:
        return connection.scalar(query, {"role": WRITER}) is not None


def _tables(*names: str) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(SCHEMA, name) for name in names)


_WRITER_STATEMENTS = (
    "ALTER ROLE {writer} LOGIN PASSWORD {password} CONNECTION LIMIT 40",
    # A member inherits: the owner goes on changing the schema of these tables, and its views read them.
    "GRANT {writer} TO CURRENT_USER",
    "GRANT CONNECT ON DATABASE {database} TO {writer}",
    "GRANT USAGE ON SCHEMA public TO {writer}",
    "GRANT SELECT ON public.alembic_version TO {writer}",
    "GRANT USAGE, CREATE ON SCHEMA {credit} TO {writer}",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {credit} TO {writer}",
    "REVOKE INSERT, UPDATE, DELETE ON {read_only} FROM {writer}",
    "REVOKE ALL ON {apart} FROM {writer}",
    # It owns not all of the tables that row security may be on for.
    "GRANT EXECUTE ON FUNCTION {policies} TO {writer}",
)
