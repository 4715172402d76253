"""What a backup says of the database that it was made of: rows, sequences, roles and grants."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import psycopg
from psycopg import sql

from db.access.names import USUAL_PREFIX, RoleNames, current
from db.errors import DatabaseError, RefusedError
from db.models import REPORTING, SCHEMA

FORMAT = 1
MANIFEST = "manifest.json"
SCHEMAS = (SCHEMA, REPORTING)


class BackupError(DatabaseError):
    """A backup could not be written, or what came back is not what was saved."""


@dataclass(frozen=True, slots=True)
class TableState:
    """What a table holds: its rows, and a checksum that does not depend on their order."""

    rows: int
    checksum: str


@dataclass(frozen=True, slots=True)
class Archive:
    """One pg_dump archive inside the file."""

    member: str
    database: str
    bytes: int
    sha256: str
    tables: Mapping[str, TableState]
    sequences: Mapping[str, int | None]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup file says of itself."""

    format: int
    created_at: str
    server_version: int
    revision: str | None
    owner: str
    data: Archive
    superset: Archive | None
    roles: Mapping[str, Mapping[str, Any]]
    grants: tuple[tuple[str, str, str, str], ...] = field(default=())
    role_prefix: str = USUAL_PREFIX

    def for_names(self, names: RoleNames) -> Manifest:
        """The same with the names that our roles have in another database; of other roles it says nothing."""
        new = RoleNames(self.role_prefix).renamed(names)
        roles = {
            new[role]: {
                **said,
                "settings": sorted(said["settings"]),
                "member_of": sorted(new[group] for group in said["member_of"] if group in new),
            }
            for role, said in self.roles.items()
            if role in new
        }
        grants = ((a, b, new.get(role, role), d) for a, b, role, d in self.grants if role in {*new, "PUBLIC"})
        return replace(self, roles=roles, grants=tuple(grants), role_prefix=names.prefix)

    def to_json(self) -> bytes:
        """The manifest as it stands in the file."""
        return json.dumps(asdict(self), indent=1, sort_keys=True).encode()

    @classmethod
    def from_json(cls, content: bytes) -> Manifest:
        """Raises RefusedError if it is not one that this program reads."""
        try:
            found = json.loads(content)
            if found["format"] != FORMAT:
                raise RefusedError(f"The backup has format {found['format']}, this program reads format {FORMAT}.")
            superset = found["superset"]
            return cls(
                **{
                    **found,
                    "data": _archive(found["data"]),
                    "superset": _archive(superset) if superset else None,
                    "grants": tuple((a, b, c, d) for a, b, c, d in found["grants"]),
                }
            )
        except (ValueError, KeyError, TypeError) as error:
            raise RefusedError(f"{MANIFEST} of the backup cannot be read: {error!r}.") from error


def _archive(found: Mapping[str, Any]) -> Archive:
    return Archive(**{**found, "tables": {name: TableState(**state) for name, state in found["tables"].items()}})


def survey(connection: psycopg.Connection[Any], schemas: Iterable[str]) -> dict[str, TableState]:
    """Rows and checksum of every table of the schemas, by qualified name; partitions one by one."""
    names = connection.execute(
        "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relkind = 'r' AND n.nspname = ANY(%s) ORDER BY 1, 2",
        [list(schemas)],
    ).fetchall()
    return {f"{schema}.{name}": _state(connection, schema, name) for schema, name in names}


_HASHED = """
SELECT coalesce(bool_and(t.typtype IN ('e', 'r', 'm') OR EXISTS (
    SELECT FROM pg_opclass AS o
    JOIN pg_am AS m ON m.oid = o.opcmethod AND m.amname = 'hash'
    WHERE o.opcintype = t.oid OR EXISTS (
        SELECT FROM pg_cast AS k WHERE (k.castsource, k.casttarget, k.castmethod) = (t.oid, o.opcintype, 'b')
    )
)), true)
FROM pg_attribute AS a
JOIN pg_type AS c ON c.oid = a.atttypid
JOIN pg_type AS t
    ON t.oid = coalesce(nullif(c.typbasetype, 0), CASE c.typcategory WHEN 'A' THEN c.typelem END, c.oid)
WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped
"""


def _state(connection: psycopg.Connection[Any], schema: str, name: str) -> TableState:
    # Hashes of values as they are are three times faster than of their text; a table with a type that has none
    # takes the text. To try and see would leave an error in the server's log.
    table = sql.Identifier(schema, name)
    found = connection.execute(_HASHED, [table.as_string(connection)]).fetchone()
    assert found is not None
    digest = sql.SQL("hash_record_extended(t, 0)" if found[0] else "hashtextextended(t::text, 0)")
    query = sql.SQL("SELECT count(*), coalesce(sum({digest}), 0)::text FROM {table} AS t")
    row = connection.execute(query.format(digest=digest, table=table)).fetchone()
    assert row is not None
    return TableState(*row)


def sequences(connection: psycopg.Connection[Any], schemas: Iterable[str]) -> dict[str, int | None]:
    """The last value of every sequence of the schemas, None for one that was never used."""
    rows = connection.execute(
        "SELECT schemaname || '.' || sequencename, last_value FROM pg_sequences"
        " WHERE schemaname = ANY(%s) ORDER BY 1",
        [list(schemas)],
    )
    return dict(rows.fetchall())


def role_settings(connection: psycopg.Connection[Any]) -> dict[str, dict[str, Any]]:
    """Our roles with attributes, settings and memberships, without passwords."""
    rows = connection.execute(
        "SELECT rolname, rolcanlogin, rolinherit, rolcreaterole, rolcreatedb, rolconnlimit,"
        " ARRAY(SELECT unnest(setconfig) FROM pg_db_role_setting"
        "       WHERE setrole = r.oid AND setdatabase = 0 ORDER BY 1),"
        " ARRAY(SELECT g.rolname::text FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid"
        "       WHERE m.member = r.oid AND g.rolname = ANY(%(ours)s) ORDER BY 1)"
        " FROM pg_roles r WHERE rolname = ANY(%(ours)s) ORDER BY rolname",
        {"ours": current(connection).all()},
    )
    names = ("login", "inherit", "create_role", "create_database", "connection_limit", "settings", "member_of")
    # In an order that does not depend on the database's collation.
    return {
        role: dict(zip(names, (sorted(v) if isinstance(v, list) else v for v in values), strict=True))
        for role, *values in rows
    }


def grants(connection: psycopg.Connection[Any]) -> tuple[tuple[str, str, str, str], ...]:
    """Who but the owners may do what with our schemas and what is in them: (kind, object, role, privilege)."""
    names = current(connection)
    rows = connection.execute(
        """
        WITH ours AS (SELECT oid, nspname, nspowner, nspacl FROM pg_namespace WHERE nspname = ANY(%(schemas)s)),
        given AS (
            SELECT 'schema' AS kind, nspname::text AS object, nspowner AS owner, a.grantee, a.privilege_type
            FROM ours, aclexplode(nspacl) a
            UNION ALL
            SELECT 'relation', nspname || '.' || relname, relowner, a.grantee, a.privilege_type
            FROM pg_class c JOIN ours n ON n.oid = c.relnamespace, aclexplode(relacl) a
            UNION ALL
            SELECT 'function', nspname || '.' || proname || '(' || pg_get_function_identity_arguments(p.oid) || ')',
                   proowner, a.grantee, a.privilege_type
            FROM pg_proc p JOIN ours n ON n.oid = p.pronamespace,
                 aclexplode(coalesce(proacl, acldefault('f', proowner))) a
            UNION ALL
            SELECT 'database', 'this', datdba, a.grantee, a.privilege_type
            FROM pg_database, aclexplode(coalesce(datacl, acldefault('d', datdba))) a
            WHERE datname = current_database()
        )
        SELECT kind, object, coalesce(r.rolname, 'PUBLIC')::text, privilege_type
        FROM given LEFT JOIN pg_roles r ON r.oid = grantee
        WHERE grantee <> owner AND (grantee = 0 OR r.rolname = ANY(%(ours)s) AND r.rolname <> %(owner)s)
        ORDER BY 1, 2, 3, 4
        """,
        {"schemas": list(SCHEMAS), "ours": names.all(), "owner": names.owner},
    )
    return tuple((kind, name, role, privilege) for kind, name, role, privilege in rows)
