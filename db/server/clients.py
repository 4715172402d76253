"""Which `psql`, `pg_dump` and `pg_restore` we run: the packaged ones, or the system's where those are not enough.

The packaged programs know no TLS. A server that asks for it, or that is newer than they are, takes programs of the
system, which are looked for before anything starts.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import psycopg
from sqlalchemy import URL

from db.engine import open_session, unavailable
from db.errors import DatabaseError
from db.server.embedded import packaged_binaries

# From these on, psql knows what pg_restore writes to keep a script from giving commands to psql itself.
_KNOWS_RESTRICT = {13: 22, 14: 19, 15: 14, 16: 10, 17: 6}


class ProgramMissingError(DatabaseError):
    """No program of Postgres that is here can do what the server asks for; the message says what to install."""


@dataclass(frozen=True, slots=True)
class Program:
    """A program of Postgres and its version, such as (15, 18)."""

    path: Path
    version: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Demands:
    """What a server asks of a program that connects to it."""

    server: int
    tls: bool


def demands(url: URL) -> Demands:
    """What the server at `url` asks for: found out by connecting to it.

    Raises DatabaseUnavailableError if it lets nobody in.
    """
    try:
        with open_session(url, job=False) as connection:
            encrypted, server = bool(connection.pgconn.ssl_in_use), connection.info.server_version // 10_000
    except psycopg.OperationalError as error:
        raise unavailable(url, error) from error
    return Demands(server, encrypted)


def psql(url: URL) -> Path:
    """A psql that the server at `url` lets in. Raises ProgramMissingError if there is none."""
    return _program("psql", url, demands(url)).path


def psql_for_scripts(url: URL) -> Path:
    """A psql that the server lets in and that runs what `pg_restore` writes. Raises ProgramMissingError."""
    return _program("psql", url, demands(url), scripts=True).path


def pg_dump(url: URL) -> Path:
    """A pg_dump that the server lets in and that is not older than it. Raises ProgramMissingError."""
    asked = demands(url)
    return _program("pg_dump", url, asked, at_least=asked.server).path


def pg_restores() -> list[Path]:
    """Every pg_restore that there is, the packaged one first; they read files only."""
    return [found.path for found in (_packaged("pg_restore"), *_of_the_system("pg_restore"))]


def _program(name: str, url: URL, asked: Demands, *, at_least: int = 0, scripts: bool = False) -> Program:
    packaged = _packaged(name)
    if not asked.tls and packaged.version[0] >= at_least:
        return packaged
    for found in _of_the_system(name):
        old = found.version[0] < at_least or (scripts and not _knows_restrict(found))
        if not old and (not asked.tls or _knows_tls(found.path)):
            return found
    if asked.tls and packaged.version[0] >= at_least and _lets_in_without_tls(url):
        return packaged
    least = max(at_least, 15)
    raise ProgramMissingError(
        f"The server {'asks for TLS' if asked.tls else f'is Postgres {asked.server}'}, and the packaged {name}"
        f" {'does not know it' if asked.tls else f'is {packaged.version[0]}'}: install {name} {least} or newer (the"
        f" package postgresql-client-{least} or postgresql-client of Debian and Ubuntu, postgresql of Fedora)."
    )


def _lets_in_without_tls(url: URL) -> bool:
    """Whether the address leaves it to the server, and the server takes both."""
    mode = url.query.get("sslmode") or os.environ.get("PGSSLMODE") or "prefer"
    if mode not in {"prefer", "allow", "disable"}:
        return False
    try:
        open_session(url.update_query_dict({"sslmode": "disable"}), job=False).close()
    except psycopg.OperationalError:
        return False
    return True


def _packaged(name: str) -> Program:
    path = packaged_binaries() / name
    found = _version(path)
    if found is None:
        raise ProgramMissingError(f"The packaged {name} does not run; see whether {path} is whole.")
    return Program(path, found)


def _of_the_system(name: str) -> list[Program]:
    """The system's, newest first."""
    programs = {path.resolve(): Program(path, found) for path in _places(name) if (found := _version(path))}
    return sorted(programs.values(), key=lambda program: program.version, reverse=True)


def _places(name: str) -> Iterator[Path]:
    for pattern in ("lib/postgresql/*/bin", "pgsql-*/bin"):
        yield from (folder / name for folder in Path("/usr").glob(pattern))
    if on_path := shutil.which(name):
        yield Path(on_path)


@lru_cache(maxsize=64)
def _version(path: Path) -> tuple[int, int] | None:
    if not path.is_file():
        return None
    done = subprocess.run([str(path), "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"\(PostgreSQL\) (\d+)(?:\.(\d+))?", done.stdout)
    return (int(found[1]), int(found[2] or 0)) if found and done.returncode == 0 else None


def _knows_restrict(program: Program) -> bool:
    major, minor = program.version
    return major >= 18 or minor >= _KNOWS_RESTRICT.get(major, 1_000)


@lru_cache(maxsize=64)
def _knows_tls(path: Path) -> bool:
    """Whether psql, or the library that its neighbours share with it, was built with TLS; nothing is connected."""
    done = subprocess.run(
        [str(path), "--dbname=host=/nowhere dbname=none sslmode=require"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"},
    )  # fmt: skip
    return "not compiled in" not in done.stderr
