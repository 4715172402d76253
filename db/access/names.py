"""The names of our roles. All databases of a server share its roles, so each database has a prefix of its own.

The usual prefix is `creditlens`. A second database on the same server gets `creditlens_<database>`: the roles'
passwords belong to one installation, and its readers have nothing to do in the database of another one. A comment
on the owner's role says which database a prefix belongs to; the owner of schema `credit` says which prefix a
database has.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

USUAL_PREFIX = "creditlens"
# Postgres cuts longer names, and the longest part is "_compliance".
_LONGEST_PREFIX = 63 - len("_compliance")
_CLAIM = "creditlens: the roles of database {name} ({oid})"


@dataclass(frozen=True, slots=True)
class RoleNames:
    """The roles of one database, whose names begin with `prefix`."""

    prefix: str

    @property
    def owner(self) -> str:
        """Owns everything; nobody can log in as it."""
        return f"{self.prefix}_owner"

    @property
    def migrator(self) -> str:
        """The login that changes the schema; on a server of somebody else it is whoever the settings name."""
        return f"{self.prefix}_migrator"

    @property
    def writer(self) -> str:
        """The nights and training."""
        return f"{self.prefix}_writer"

    @property
    def reader(self) -> str:
        """What the reading roles have in common."""
        return f"{self.prefix}_reader"

    @property
    def analyst(self) -> str:
        """The reading role of people who ask in SQL."""
        return f"{self.prefix}_analyst"

    @property
    def dashboard(self) -> str:
        """The reading role of the dashboards' server."""
        return f"{self.prefix}_dashboard"

    @property
    def views(self) -> str:
        """Owns the reporting views; nobody can log in as it."""
        return f"{self.prefix}_reporting"

    @property
    def compliance(self) -> str:
        """Reads who looked at whom."""
        return f"{self.prefix}_compliance"

    @property
    def decider(self) -> str:
        """Records what people decide on the dashboards' pages, and may do nothing else."""
        return f"{self.prefix}_decider"

    def all(self) -> list[str]:
        """Every role of ours, in one order for all prefixes."""
        return [
            *(self.owner, self.migrator, self.writer, self.reader),
            *(self.analyst, self.dashboard, self.views, self.compliance, self.decider),
        ]

    def renamed(self, other: RoleNames) -> Mapping[str, str]:
        """Each name of ours and the name that the same role has in `other`."""
        return dict(zip(self.all(), other.all(), strict=True))


USUAL = RoleNames(USUAL_PREFIX)


def current(server: psycopg.Connection[Any]) -> RoleNames:
    """The names of the roles of the connection's database; of one without roles, those that it would get."""
    return in_place(server) or choose(server)


def in_place(server: psycopg.Connection[Any]) -> RoleNames | None:
    """The names by which the database's schema was handed over; None if it never was."""
    row = server.execute(
        "SELECT pg_get_userbyid(nspowner)::text FROM pg_namespace WHERE nspname = 'credit'"
    ).fetchone()
    found = row and re.fullmatch(rf"({USUAL_PREFIX}(?:_.+)?)_owner", row[0])
    return RoleNames(found[1]) if found else None


def choose(server: psycopg.Connection[Any]) -> RoleNames:
    """The names that the roles of the connection's database should have.

    Those that it has, unless another database claimed them first, as databases of version 0.3 may share them; else
    the usual ones, unless another database of the server uses them; else names made of the database's own name.
    """
    there = in_place(server)
    if there is not None and _is_ours(server, there, shared=True):
        return there
    own = _own_prefix(_database(server)[0])
    for names in (USUAL, RoleNames(own)):
        if names != there and _is_ours(server, names, shared=False):
            return names
    # Two long names may have been cut to the same prefix.
    return RoleNames(_shortened(own, _database(server)[0]))


def claim(server: psycopg.Connection[Any], names: RoleNames) -> None:
    """Note on the owner's role whose roles these are, for other databases of the server."""
    name, oid = _database(server)
    server.execute(
        sql.SQL("COMMENT ON ROLE {} IS {}").format(
            sql.Identifier(names.owner), sql.Literal(_CLAIM.format(name=name, oid=oid))
        )
    )


def _own_prefix(database: str) -> str:
    # Names that need no quotes anywhere.
    prefix = f"{USUAL_PREFIX}_{re.sub(r'[^a-z0-9]+', '_', database.lower())}"
    return prefix if len(prefix.encode()) <= _LONGEST_PREFIX else _shortened(prefix, database)


def _shortened(prefix: str, database: str) -> str:
    digest = hashlib.sha256(database.encode()).hexdigest()[:8]
    start = prefix.encode()[: _LONGEST_PREFIX - len(digest) - 1].decode(errors="ignore")
    return f"{start}_{digest}"


def _database(server: psycopg.Connection[Any]) -> tuple[str, int]:
    row = server.execute(
        "SELECT datname, oid::bigint FROM pg_database WHERE datname = current_database()"
    ).fetchone()
    assert row is not None
    return row[0], row[1]


def _is_ours(server: psycopg.Connection[Any], names: RoleNames, *, shared: bool) -> bool:
    """Whether this database may have these names.

    Where `shared`, others may own something by them too, as long as none has claimed them.
    """
    claimed = claimed_by(server, names)
    if claimed is not None:
        return claimed == _database(server)[1]
    return shared or not _used_elsewhere(server, names)


def claimed_by(server: psycopg.Connection[Any], names: RoleNames) -> int | None:
    """The number of the database that claimed the names; None if nobody did, or if that database is gone."""
    row = server.execute(
        "SELECT shobj_description(oid, 'pg_authid') FROM pg_roles WHERE rolname = %s", [names.owner]
    ).fetchone()
    found = row and row[0] and re.fullmatch(r"creditlens: the roles of database .* \((\d+)\)", row[0], re.DOTALL)
    if not found:
        return None
    there = server.execute("SELECT oid::bigint FROM pg_database WHERE oid = %s::oid", [found[1]]).fetchone()
    return there[0] if there else None


def _used_elsewhere(server: psycopg.Connection[Any], names: RoleNames) -> bool:
    """Whether these roles own something, or may do something, inside of another database.

    The writer may take locks in all databases of an embedded server and says nothing.
    """
    telling = [names.owner, names.reader, names.analyst, names.dashboard, names.views]
    row = server.execute(
        "SELECT 1 FROM pg_shdepend d JOIN pg_roles r ON r.oid = d.refobjid"
        " WHERE d.refclassid = 'pg_authid'::regclass AND r.rolname = ANY(%s)"
        " AND d.dbid NOT IN (0, (SELECT oid FROM pg_database WHERE datname = current_database())) LIMIT 1",
        [telling],
    ).fetchone()
    return row is not None
