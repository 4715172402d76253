"""Roles and grants: readers see schema `reporting` and nothing else."""

from __future__ import annotations

from collections.abc import Mapping

from psycopg import sql
from psycopg.errors import InsufficientPrivilege
from sqlalchemy import Connection, Engine, text

from db.engine import transaction
from db.models import REPORTING
from db.runs import driver

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
