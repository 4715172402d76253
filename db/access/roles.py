"""Roles and grants: nobody logs in as the owner, the jobs write runs and models, readers see `reporting` only."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import psycopg
from psycopg import sql
from psycopg.errors import DependentObjectsStillExist, InsufficientPrivilege, UndefinedObject
from sqlalchemy import Connection, Engine, text

from db.about import about
from db.access.names import USUAL, RoleNames, choose, claim, claimed_by, current
from db.access.passwords import kept
from db.access.portfolios import POLICY_FUNCTIONS, hand_over_views
from db.access.public_functions import close_functions
from db.engine import FORMATS, connect, driver, transaction
from db.models import PARTITIONED, PRIVATE, REPORTING, SCHEMA, VERSION_TABLE, metadata, partition_name
from db.runs.partitions import partitions

READER, ANALYST, DASHBOARD = USUAL.reader, USUAL.analyst, USUAL.dashboard
DECIDER = USUAL.decider
# All that the decider may do.
ACT = "record_human_act(text, integer, jsonb)"


def names(engine: Engine) -> RoleNames:
    """The names of the roles of a database, those that it has or would get."""
    with connect(engine) as connection:
        return current(driver(connection))


def choose_names(engine: Engine) -> RoleNames:
    """The names that the roles of a database should have, see db.access.names."""
    with connect(engine) as connection:
        return choose(driver(connection))


def ensure_owner(engine: Engine, roles: RoleNames | None = None) -> bool:
    """Hand schemas, tables and routines over to the owner, a role that nobody can log in as; idempotent.

    Who migrates is a member of it, and may do with them what an owner may. The writer's tables stay the writer's,
    and the reporting views go on to a role of their own (`ensure_readers`).

    Parameters
    ----------
    roles: the names of the roles; by default those that the database has.

    Returns False, having changed nothing, where the server does not let us make it; then all belongs to whoever
    the settings name.
    """
    try:
        with transaction(engine) as connection:
            server = driver(connection)
            roles = roles or current(server)
            names = {
                "owner": sql.Identifier(roles.owner),
                "database": sql.Identifier(engine.url.database or "postgres"),
            }
            row = server.execute(
                "SELECT pg_has_role(oid, 'USAGE') FROM pg_roles WHERE rolname = %s", [roles.owner]
            ).fetchone()
            for statement in (
                *(("CREATE ROLE {owner} NOLOGIN",) if row is None else ()),
                *(("GRANT {owner} TO CURRENT_USER",) if row != (True,) else ()),
                "GRANT CONNECT, CREATE ON DATABASE {database} TO {owner}",
                "ALTER DEFAULT PRIVILEGES REVOKE ALL ON ROUTINES FROM PUBLIC",
                "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} REVOKE ALL ON ROUTINES FROM PUBLIC",
            ):
                server.execute(sql.SQL(statement).format(**names))
            for kind, name in server.execute(
                _NOT_YET_THE_OWNERS, {"owner": roles.owner, "writer": roles.writer}
            ).fetchall():
                # Names as Postgres quotes them itself.
                server.execute(sql.SQL(f"ALTER {kind} {name} OWNER TO {{owner}}").format(**names))
    except InsufficientPrivilege:
        return False
    return True


_NOT_YET_THE_OWNERS = f"""
WITH ours AS (
    SELECT oid, nspname, nspowner FROM pg_namespace WHERE nspname IN ('{SCHEMA}', '{REPORTING}', '{PRIVATE}')
)
SELECT 'SCHEMA', quote_ident(nspname) FROM ours WHERE pg_get_userbyid(nspowner) <> %(owner)s
UNION ALL
SELECT 'TABLE', c.oid::regclass::text
FROM pg_class AS c
WHERE c.relkind IN ('r', 'p') AND pg_get_userbyid(c.relowner) NOT IN (%(owner)s, %(writer)s)
    AND c.relnamespace IN (SELECT oid FROM ours)
UNION ALL
SELECT 'ROUTINE', p.oid::regprocedure::text
FROM pg_proc AS p
JOIN ours ON ours.oid = p.pronamespace AND ours.nspname <> '{REPORTING}'
WHERE pg_get_userbyid(p.proowner) <> %(owner)s
"""


def ensure_readers(engine: Engine, passwords: Mapping[str, str], roles: RoleNames | None = None) -> bool:
    """Make or update the reading roles and what they may do; idempotent.

    Parameters
    ----------
    passwords: password by login role (such as `creditlens_analyst`, `creditlens_dashboard`).
    roles: the names of the roles; by default those that the database has.

    Returns False, having changed nothing, where the server does not let us make roles: then its administrator
    makes them and grants the reader's.
    """
    try:
        with transaction(engine) as connection:
            roles = roles or current(driver(connection))
            for role in (roles.reader, roles.analyst, roles.dashboard):
                known = connection.scalar(text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": role})
                if not known:
                    driver(connection).execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(role)))
            for role in (roles.analyst, roles.dashboard):
                for statement in _LOGIN_STATEMENTS:
                    driver(connection).execute(
                        sql.SQL(statement).format(
                            role=sql.Identifier(role),
                            reader=sql.Identifier(roles.reader),
                            password=kept(driver(connection), role, passwords[role]),
                        )
                    )
            open_to_readers(connection, roles)
    except InsufficientPrivilege:
        return False
    return True


_LOGIN_STATEMENTS = (
    "ALTER ROLE {role} LOGIN PASSWORD {password} CONNECTION LIMIT 40",
    "GRANT {reader} TO {role}",
    "ALTER ROLE {role} SET default_transaction_read_only = on",
    # One night for a whole transaction, and what publishing relies on: see db.runs.ledger.publish.
    "ALTER ROLE {role} SET default_transaction_isolation = 'repeatable read'",
    "ALTER ROLE {role} SET statement_timeout = '30s'",
    "ALTER ROLE {role} SET idle_in_transaction_session_timeout = '60s'",
    "ALTER ROLE {role} SET search_path = reporting",
    # Estimates over partitions not yet pruned reach its threshold, and compiling takes longer than the query.
    "ALTER ROLE {role} SET jit = off",
    # What views say in words must not depend on the server.
    *(f"ALTER ROLE {{role}} SET {name} = '{value}'" for name, value in FORMATS.items() if name != "DateStyle"),
    "ALTER ROLE {role} SET DateStyle = ISO, MDY",
)


def open_to_readers(connection: Connection, roles: RoleNames | None = None) -> None:
    """Grant readers all that they may do, in the caller's transaction: views that were made anew have no grants."""
    roles = roles or current(driver(connection))
    database = connection.engine.url.database or "postgres"
    hand_over_views(connection, roles)
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
                reader=sql.Identifier(roles.reader),
                reporting=sql.Identifier(REPORTING),
            )
        )


def let_readers_in(engine: Engine) -> None:
    """Open schema `reporting` again to the readers, if there are any, after a restore that kept them out."""
    with transaction(engine) as connection:
        reader = current(driver(connection)).reader
        if connection.scalar(text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": reader}):
            names = map(sql.Identifier, (REPORTING, reader))
            driver(connection).execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(*names))


def ensure_writer(engine: Engine, password: str, roles: RoleNames | None = None) -> bool:
    """Make or update the role of the nightly job and of training; idempotent.

    It may write schema `credit` but for the dictionary and the operators' records, and owns the tables that are
    partitioned by run or model, because attaching a partition takes that. It makes no roles, changes no schema and
    sees no view.

    Parameters
    ----------
    roles: the names of the roles; by default those that the database has.

    Returns False, having changed nothing, where the server does not let us make it; then the job runs as whoever
    the settings name.
    """
    try:
        with transaction(engine) as connection:
            roles = roles or current(driver(connection))
            known = connection.scalar(text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": roles.writer})
            names = {
                "writer": sql.Identifier(roles.writer),
                "owner": sql.Identifier(roles.owner),
                "private": sql.Identifier(PRIVATE),
                "version": sql.Identifier(PRIVATE, VERSION_TABLE),
                "database": sql.Identifier(engine.url.database or "postgres"),
                "credit": sql.Identifier(SCHEMA),
                "password": kept(driver(connection), roles.writer, password),
                "read_only": _tables("read"),
                "apart": _tables("nothing"),
                "policies": sql.SQL(", ").join(sql.SQL(f"{SCHEMA}.{name}") for name in POLICY_FUNCTIONS),
            }
            for statement in (*(() if known else ("CREATE ROLE {writer}",)), *_WRITER_STATEMENTS):
                driver(connection).execute(sql.SQL(statement).format(**names))
            by_name = {table.name: table for table in PARTITIONED}
            parts = [partition_name(by_name[name], key) for name, key, _ in partitions(driver(connection))]
            # Not those that are its own already: handing one over waits for everybody who reads it.
            given = driver(connection).execute(
                "SELECT oid::regclass::text FROM pg_class WHERE relnamespace = to_regnamespace(%s)"
                " AND relname = ANY(%s) AND pg_get_userbyid(relowner) <> %s",
                [SCHEMA, [*by_name, *parts], roles.writer],
            )
            for (table,) in given.fetchall():
                driver(connection).execute(sql.SQL(f"ALTER TABLE {table} OWNER TO {{writer}}").format(**names))
    except InsufficientPrivilege:
        return False
    return True


def ensure_decider(engine: Engine, password: str, roles: RoleNames | None = None) -> bool:
    """Make or update the role that records what people decide; idempotent.

    It may execute one function and nothing else.

    Parameters
    ----------
    roles: the names of the roles; by default those that the database has.

    Returns False, having changed nothing, where the server does not let us make it.
    """
    try:
        with transaction(engine) as connection:
            server = driver(connection)
            role = (roles or current(server)).decider
            known = server.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone()
            names = {
                "decider": sql.Identifier(role),
                "database": sql.Identifier(engine.url.database or "postgres"),
                "credit": sql.Identifier(SCHEMA),
                "password": kept(server, role, password),
            }
            for statement in (*(() if known else ("CREATE ROLE {decider}",)), *_DECIDER_STATEMENTS):
                server.execute(sql.SQL(statement).format(**names))
    except InsufficientPrivilege:
        return False
    return True


_DECIDER_STATEMENTS = (
    "ALTER ROLE {decider} LOGIN PASSWORD {password} CONNECTION LIMIT 40",
    "ALTER ROLE {decider} SET statement_timeout = '10s'",
    "ALTER ROLE {decider} SET idle_in_transaction_session_timeout = '10s'",
    "GRANT CONNECT ON DATABASE {database} TO {decider}",
    "GRANT USAGE ON SCHEMA {credit} TO {decider}",
    f"GRANT EXECUTE ON FUNCTION {SCHEMA}.{ACT} TO {{decider}}",
)


def claim_names(engine: Engine, roles: RoleNames) -> bool:
    """Note on the server that these roles are this database's; idempotent.

    Returns False, having changed nothing, where the server does not let us.
    """
    try:
        with transaction(engine) as connection:
            claim(driver(connection), roles)
    except (InsufficientPrivilege, UndefinedObject):
        return False
    return True


def shut_out(engine: Engine, former: RoleNames) -> list[str]:
    """Take everything from roles that are another database's and were this one's too, as before version 0.4.

    Whoever migrates is no longer a member of them, unless the other database is that user's too.

    Returns the roles of which the user stays a member because the server does not let us change it.
    """
    with transaction(engine) as connection:
        server = driver(connection)
        known = server.execute("SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)", [former.all()]).fetchall()
        for (role,) in known:
            names = {"role": sql.Identifier(role), "database": sql.Identifier(engine.url.database or "postgres")}
            for schema in (SCHEMA, REPORTING, PRIVATE):
                for kind in ("ALL TABLES IN SCHEMA", "ALL SEQUENCES IN SCHEMA", "ALL ROUTINES IN SCHEMA", "SCHEMA"):
                    server.execute(
                        sql.SQL(f"REVOKE ALL ON {kind} {{schema}} FROM {{role}}").format(
                            schema=sql.Identifier(schema), **names
                        )
                    )
            server.execute(sql.SQL("REVOKE ALL ON DATABASE {database} FROM {role}").format(**names))
            if role == former.owner:
                with suppress(InsufficientPrivilege), server.transaction():
                    server.execute(
                        sql.SQL(
                            "ALTER DEFAULT PRIVILEGES FOR ROLE {role} GRANT EXECUTE ON ROUTINES TO PUBLIC"
                        ).format(**names)
                    )
            # What db.access.public_functions gave.
            given = server.execute(
                "SELECT p.oid::regprocedure::text FROM pg_proc AS p, aclexplode(p.proacl) AS a JOIN pg_roles AS r"
                " ON r.oid = a.grantee WHERE p.pronamespace = 'pg_catalog'::regnamespace AND r.rolname = %s",
                [role],
            ).fetchall()
            for (function,) in given:
                with suppress(InsufficientPrivilege), server.transaction():
                    server.execute(
                        sql.SQL(f"REVOKE EXECUTE ON FUNCTION pg_catalog.{function} FROM {{role}}").format(**names)
                    )
        return _leave(server, former)


def _leave(server: psycopg.Connection[Any], former: RoleNames) -> list[str]:
    """End the user's memberships in another database's roles; those roles that the server does not let go of."""
    owner = claimed_by(server, former)
    if owner is None or server.execute(_WORKS_THERE_TOO, {"roles": former.all(), "database": owner}).fetchone():
        return []
    for (role,) in server.execute(_MEMBER_OF, [former.all()]).fetchall():
        with suppress(InsufficientPrivilege, DependentObjectsStillExist), server.transaction():
            server.execute(sql.SQL("REVOKE {} FROM CURRENT_USER").format(sql.Identifier(role)))
    return [role for (role,) in server.execute(_MEMBER_OF, [former.all()]).fetchall()]


_MEMBER_OF = (
    "SELECT DISTINCT roleid::regrole::text FROM pg_auth_members"
    " WHERE member = current_user::regrole AND pg_get_userbyid(roleid) = ANY(%s)"
)
# By another way than these roles: as a superuser, as one of the roles, or as who may make schemas there.
_WORKS_THERE_TOO = """
SELECT 1
FROM pg_database AS d
JOIN pg_roles AS me ON me.rolname = current_user
WHERE d.oid = %(database)s::oid AND (
    me.rolsuper OR me.rolname = ANY(%(roles)s)
    OR (pg_get_userbyid(d.datdba) <> ALL(%(roles)s) AND pg_has_role(d.datdba, 'MEMBER'))
    OR EXISTS (
        SELECT FROM aclexplode(d.datacl) AS a
        WHERE a.privilege_type = 'CREATE' AND a.grantee <> 0
            AND pg_get_userbyid(a.grantee) <> ALL(%(roles)s) AND pg_has_role(a.grantee, 'MEMBER')
    )
)
"""


def close_to_everybody(engine: Engine) -> bool:
    """Take from PUBLIC what readers must not have (db.access.public_functions); False where that takes a superuser.

    The embedded server does it by itself when it starts.
    """
    with transaction(engine) as connection:
        server = driver(connection)
        writer = current(server).writer
        known = server.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [writer]).fetchone() is not None
        lockers = [writer] if known else []
        return close_functions(server, administrator=server.info.user, lockers=lockers)


def has_writer(engine: Engine) -> bool:
    """Whether the runs of this database are the writer's."""
    query = text(
        "SELECT 1 FROM pg_class AS c JOIN pg_roles AS r ON r.oid = c.relowner"
        " WHERE c.oid = to_regclass('credit.score') AND r.rolname = :role"
    )
    with connect(engine) as connection:
        return connection.scalar(query, {"role": current(driver(connection)).writer}) is not None


def _tables(may: str) -> sql.Composed:
    """The tables with which the jobs may do this and no more."""
    chosen = (table.name for table in metadata.sorted_tables if about(table).jobs == may)
    return sql.SQL(", ").join(sql.Identifier(SCHEMA, name) for name in chosen)


_WRITER_STATEMENTS = (
    "ALTER ROLE {writer} LOGIN PASSWORD {password} CONNECTION LIMIT 40",
    # Members inherit: who migrates goes on changing these tables, and the owner's functions read them.
    "GRANT {writer} TO CURRENT_USER",
    "GRANT {writer} TO {owner}",
    "GRANT CONNECT ON DATABASE {database} TO {writer}",
    "GRANT USAGE ON SCHEMA {private} TO {writer}",
    "GRANT SELECT ON {version} TO {writer}",
    "GRANT USAGE, CREATE ON SCHEMA {credit} TO {writer}",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {credit} TO {writer}",
    "REVOKE INSERT, UPDATE, DELETE ON {read_only} FROM {writer}",
    "REVOKE ALL ON {apart} FROM {writer}",
    # It owns not all of the tables that row security may be on for.
    "GRANT EXECUTE ON FUNCTION {policies} TO {writer}",
)
