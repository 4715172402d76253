"""What Postgres gives to everybody and readers must not have, taken back; only a superuser can."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
from psycopg import sql

# A reader who held the run lock would keep every night out.
LOCKS = "^pg_(try_)?advisory_"
CLOSED = (
    # They run a query that is given as text, which no check of the statement around it sees.
    *("^(query|cursor|table|schema|database)_to_xml", "^ts_stat$", "^ts_rewrite$"),
    # They show what others of the same role are asking, the dashboards' signatures included, and end it.
    *("^pg_stat_get_activity$", "^pg_stat_get_backend_activity$", "^pg_(cancel|terminate)_backend$"),
    # They write what no table shows: large objects, and messages into the write-ahead log.
    *("^lo_", "^lo(read|write)$", "^pg_logical_emit_message$"),
)


def close_functions(connection: psycopg.Connection, *, administrator: str, lockers: Sequence[str]) -> bool:
    """Take the functions above from PUBLIC in the current database; idempotent.

    Parameters
    ----------
    administrator: role that goes on using all of them.
    lockers: roles that take advisory locks.

    Returns False, having changed nothing, where the connection's user is no superuser.
    """
    if connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone() != (True,):
        return False
    with connection.transaction():
        for pattern, roles in ((LOCKS, (administrator, *lockers)), ("|".join(CLOSED), (administrator,))):
            found = connection.execute(
                "SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace"
                " AND proname ~ %s AND has_function_privilege('public', oid, 'EXECUTE')",
                [pattern],
            ).fetchall()
            if found:
                # Signatures as Postgres writes them itself.
                functions = sql.SQL(", ").join(sql.SQL(signature) for (signature,) in found)
                to = sql.SQL(", ").join(map(sql.Identifier, roles))
                connection.execute(sql.SQL("REVOKE EXECUTE ON FUNCTION {} FROM PUBLIC").format(functions))
                connection.execute(sql.SQL("GRANT EXECUTE ON FUNCTION {} TO {}").format(functions, to))
    return True
