"""Portfolios: which advisor has which customers, and the row security that holds advisors to them.

The dashboards' role says who looks when it connects, signed with a key that only the dashboards and a table closed
to readers know (`sign`). While portfolios are on, policies on every table about single customers let that role see
the viewer's own ones. The reporting views read these tables as a role of their own (`RoleNames.views`), that
nobody can log in as and that owns nothing else: row security does not hold a table's owner, nor a superuser.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import sql
from psycopg.errors import InsufficientPrivilege, LockNotAvailable
from sqlalchemy import Connection, Engine, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from db.about import about
from db.access.names import USUAL, RoleNames, current
from db.engine import connect, driver, transaction
from db.errors import BusyError, RefusedError
from db.models import PRIVATE, REPORTING, SCHEMA, advisor_portfolio, metadata, portfolio_state

VIEWS = USUAL.views
SETTING = "creditlens.viewer"
LIMITED = tuple(table for table in metadata.sorted_tables if about(table).limited)
POLICY_FUNCTIONS = ("sees_everybody()", "viewer_customers()", "viewer_regions()", "acts_recorded()")
LOCK_ATTEMPTS = 12


@dataclass(frozen=True, slots=True)
class Assignment:
    """One customer, or all of tonight's with a rating of their region, assigned to an advisor."""

    username: str
    customer_id: int | None
    region_rating: int | None
    assigned_at: datetime
    assigned_by: str


@dataclass(frozen=True, slots=True)
class State:
    """Whether advisors are limited to their own customers, since when and by whom."""

    limited: bool
    version: int
    changed_at: datetime
    changed_by: str


# --- what it rests on -----------------------------------------------------------------------------------------


def ensure_key(engine: Engine, key: str, names: RoleNames | None = None) -> bool:
    """Put the signing key, and for whom it is, where only the functions of the policies read it; idempotent.

    As the two pads of HMAC, so that Postgres needs nothing but sha256(); in a schema of its own, which no backup
    holds. Returns False, having changed nothing, where the server does not let us make that schema.

    Parameters
    ----------
    names: the roles' names; by default those that the database has.
    """
    try:
        with transaction(engine) as connection:
            _put_key(connection, _pads(key), names or current(driver(connection)))
    except InsufficientPrivilege:
        return False
    return True


def key_of_another(engine: Engine, key: str) -> bool:
    """Whether the database holds a signing key, and it is not this one: then another installation uses it."""
    with connect(engine) as connection:
        server = driver(connection)
        there = server.execute(
            "SELECT has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')"
            " FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
            " WHERE n.nspname = %s AND c.relname = 'viewer_key'",
            [PRIVATE],
        ).fetchone()
        if there != (True,):
            return False
        query = sql.SQL("SELECT inner_pad, outer_pad FROM {}").format(sql.Identifier(PRIVATE, "viewer_key"))
        found = server.execute(query).fetchone()
    return found is not None and [bytes(pad) for pad in found] != _pads(key)


def _pads(key: str) -> list[bytes]:
    block = key.encode() if len(key.encode()) <= 64 else hashlib.sha256(key.encode()).digest()
    block = block.ljust(64, b"\0")
    return [bytes(byte ^ pad for byte in block) for pad in (0x36, 0x5C)]


def _put_key(connection: Connection, pads: list[bytes], names: RoleNames) -> None:
    server = driver(connection)
    table = sql.Identifier(PRIVATE, "viewer_key")
    if server.execute("SELECT to_regclass(%s)", [f"{PRIVATE}.viewer_key"]).fetchone() == (None,):
        server.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(PRIVATE)))
        server.execute(
            sql.SQL(
                "CREATE TABLE IF NOT EXISTS {} (singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),"
                " inner_pad bytea NOT NULL, outer_pad bytea NOT NULL, dashboard_role text)"
            ).format(table)
        )
        row = server.execute("SELECT pg_get_userbyid(proowner) FROM pg_proc"
                             " WHERE oid = 'credit.verified_viewer()'::regprocedure").fetchone()  # fmt: skip
        assert row is not None
        reads = sql.Identifier(row[0])
        server.execute(sql.SQL("ALTER SCHEMA {} OWNER TO {}").format(sql.Identifier(PRIVATE), reads))
        server.execute(sql.SQL("ALTER TABLE {} OWNER TO {}").format(table, reads))
    server.execute(
        sql.SQL(
            "INSERT INTO {} AS k (inner_pad, outer_pad, dashboard_role) VALUES (%s, %s, %s)"
            " ON CONFLICT (singleton) DO UPDATE SET inner_pad = excluded.inner_pad,"
            " outer_pad = excluded.outer_pad, dashboard_role = excluded.dashboard_role"
            " WHERE (k.inner_pad, k.outer_pad, k.dashboard_role)"
            " IS DISTINCT FROM (excluded.inner_pad, excluded.outer_pad, excluded.dashboard_role)"
        ).format(table),
        [*pads, names.dashboard],
    )


def hand_over_views(connection: Connection, roles: RoleNames) -> None:
    """Give everything in schema `reporting` to a role of its own, and what that needs to read.

    In the caller's transaction.

    Before the readers' grants: until then, nobody reads views that were made anew.
    """
    server = driver(connection)
    names = {
        "views": sql.Identifier(roles.views),
        "reader": sql.Identifier(roles.reader),
        "credit": sql.Identifier(SCHEMA),
        "reporting": sql.Identifier(REPORTING),
        # Not all tables of the schema: partitions are read through their parents.
        "tables": sql.SQL(", ").join(
            sql.Identifier(SCHEMA, table.name) for table in metadata.sorted_tables if about(table).jobs != "nothing"
        ),
        "functions": sql.SQL(", ").join(sql.SQL(f"{SCHEMA}.{name}") for name in POLICY_FUNCTIONS),
    }
    if server.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [roles.views]).fetchone() is None:
        server.execute(sql.SQL("CREATE ROLE {views} NOLOGIN").format(**names))
    for statement in (
        "GRANT {views} TO CURRENT_USER",
        "GRANT USAGE ON SCHEMA {credit} TO {views}",
        "GRANT SELECT ON {tables} TO {views}",
        # Postgres asks for CREATE where something is handed over.
        "GRANT USAGE, CREATE ON SCHEMA {reporting} TO {views}",
        # Policies are worked out with the rights of whoever asks.
        "GRANT EXECUTE ON FUNCTION {functions} TO {reader}, {views}",
    ):
        server.execute(sql.SQL(statement).format(**names))
    objects = server.execute(
        "SELECT CASE relkind WHEN 'v' THEN 'VIEW' ELSE 'TYPE' END, oid::regclass::text FROM pg_class"
        " WHERE relnamespace = to_regnamespace(%(schema)s) AND relkind IN ('v', 'c')"
        " AND pg_get_userbyid(relowner) <> %(role)s"
        " UNION ALL SELECT 'ROUTINE', oid::regprocedure::text FROM pg_proc"
        " WHERE pronamespace = to_regnamespace(%(schema)s) AND pg_get_userbyid(proowner) <> %(role)s",
        {"schema": REPORTING, "role": roles.views},
    ).fetchall()
    for kind, name in objects:
        # Names as Postgres quotes them itself.
        server.execute(sql.SQL(f"ALTER {kind} {name} OWNER TO {{views}}").format(**names))
    server.execute(sql.SQL("REVOKE CREATE ON SCHEMA {reporting} FROM {views}").format(**names))


def obstacle(connection: Connection) -> str | None:
    """Why row security would not hold readers, in one sentence; None if it would."""
    server = driver(connection)
    views = current(server).views
    row = server.execute(
        "SELECT count(*) FROM pg_class WHERE relnamespace = to_regnamespace(%s) AND relkind = 'v'"
        " AND pg_get_userbyid(relowner) <> %s",
        [REPORTING, views],
    ).fetchone()
    if row is None or row[0]:
        return (
            f"The reporting views do not belong to {views}; run `creditlens migrate` as a user who may make roles."
        )
    free = server.execute(
        "SELECT r.rolsuper OR r.rolbypassrls OR EXISTS (SELECT FROM pg_class c WHERE c.oid = ANY(%s::regclass[])"
        " AND pg_has_role(r.oid, c.relowner, 'USAGE')) FROM pg_roles r WHERE r.rolname = %s",
        [[f"{SCHEMA}.{table.name}" for table in LIMITED], views],
    ).fetchone()
    if server.execute("SELECT to_regclass(%s)", [f"{PRIVATE}.viewer_key"]).fetchone() == (None,):
        return f"There is no key in schema {PRIVATE}; run `creditlens migrate` as the owner of the database."
    return None if free == (False,) else f"The role {views} may bypass row security; take that from it."


# --- switching and assigning ----------------------------------------------------------------------------------


def state(engine: Engine) -> State:
    """Whether advisors are limited."""
    with connect(engine) as connection:
        return _state(connection)


def switch(engine: Engine, *, limited: bool, by: str) -> State:
    """Limit advisors to their own customers, or let everybody see everybody again; idempotent.

    Off, the tables have no row security at all. Raises RefusedError where the views' owner could bypass it,
    BusyError if queries or a night hold the tables for a minute.
    """
    for _ in range(LOCK_ATTEMPTS):
        try:
            with transaction(engine) as connection:
                return _switch(connection, limited, by)
        except LockNotAvailable:
            # Who waits for a lock keeps everybody behind him waiting, so never for long.
            continue
    raise BusyError("The tables are in use; nothing was switched. Try again.")


def _switch(connection: Connection, limited: bool, by: str) -> State:
    server = driver(connection)
    if limited and (problem := obstacle(connection)):
        raise RefusedError(problem)
    before = connection.execute(select(portfolio_state.c.limited).with_for_update()).scalar_one()
    wanted = {
        table
        for table in LIMITED
        if server.execute(
            "SELECT relrowsecurity FROM pg_class WHERE oid = %s::regclass", [f"{SCHEMA}.{table.name}"]
        ).fetchone()
        != (limited,)
    }
    if before != limited:
        connection.execute(
            update(portfolio_state).values(
                limited=limited,
                version=portfolio_state.c.version + 1,
                changed_at=func.clock_timestamp(),
                changed_by=by,
            )
        )
        # The pointer stays; what hangs on it is worked out anew.
        server.execute("UPDATE credit.published_run SET run_id = run_id")
    server.execute("SET LOCAL lock_timeout = '5s'")
    for table in sorted(wanted, key=lambda table: table.name):
        server.execute(
            sql.SQL("ALTER TABLE {} {} ROW LEVEL SECURITY").format(
                sql.Identifier(SCHEMA, table.name), sql.SQL("ENABLE" if limited else "DISABLE")
            )
        )
    return _state(connection)


def rows(username: str, *, customers: Sequence[int], regions: Sequence[int], by: str) -> list[dict[str, Any]]:
    """Assignments as `assign_all` takes them, each once."""
    wanted = [("customer_id", one) for one in customers] + [("region_rating", one) for one in regions]
    empty = {"username": username, "customer_id": None, "region_rating": None, "assigned_by": by}
    return [{**empty, column: value} for column, value in dict.fromkeys(wanted)]


def assign_all(engine: Engine, wanted: Sequence[dict[str, Any]]) -> int:
    """Assign rows with username, customer_id or region_rating, and assigned_by; all or none; how many were new."""
    added = 0
    with transaction(engine) as connection:
        for start in range(0, len(wanted), 10_000):
            statement = (
                insert(advisor_portfolio).on_conflict_do_nothing().returning(advisor_portfolio.c.assignment_id)
            )
            added += len(connection.execute(statement, wanted[start : start + 10_000]).all())
        if added:
            _changed(connection)
    return added


def unassign(
    engine: Engine,
    username: str,
    *,
    customers: Sequence[int] = (),
    regions: Sequence[int] = (),
    everything: bool = False,
) -> int:
    """Take customers or regions away from an advisor, or everything; how many assignments there were."""
    own = advisor_portfolio.c
    chosen = own.customer_id.in_(customers) | own.region_rating.in_(regions)
    with transaction(engine) as connection:
        statement = delete(advisor_portfolio).where(own.username == username)
        removed = connection.execute(statement if everything else statement.where(chosen)).rowcount
        if removed:
            _changed(connection)
    return removed


def assignments(engine: Engine, username: str | None = None) -> list[Assignment]:
    """All assignments, or one advisor's."""
    own = advisor_portfolio.c
    query = select(*[own[name] for name in Assignment.__dataclass_fields__])
    if username is not None:
        query = query.where(own.username == username)
    with connect(engine) as connection:
        found = connection.execute(query.order_by(own.username, own.region_rating, own.customer_id)).all()
    return [Assignment(**row._mapping) for row in found]


def _changed(connection: Connection) -> None:
    """Answers that the dashboards keep are good for one version only."""
    connection.execute(update(portfolio_state).values(version=portfolio_state.c.version + 1))


def _state(connection: Connection) -> State:
    columns = [portfolio_state.c[name] for name in State.__dataclass_fields__]
    return State(**connection.execute(select(*columns)).one()._mapping)
