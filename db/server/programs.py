"""Running Postgres' own programs on a database."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import URL

from db.engine import open_session, program_target, unavailable
from db.server import clients


@contextmanager
def open_connection(url: URL) -> Iterator[psycopg.Connection[Any]]:
    """A session of the database, closed after the block."""
    try:
        connection = open_session(url)
    except psycopg.OperationalError as error:
        raise unavailable(url, error) from error
    with connection:
        yield connection


def require_programs(url: URL, *, restore: bool = False) -> None:
    """Raise ProgramMissingError if no pg_dump, or for a `restore` psql, that is here suits the server."""
    if restore:
        clients.psql_for_scripts(url)
    else:
        clients.pg_dump(url)


def start_program(program: Path, url: URL, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
    """Start one of Postgres's client programs on the database; the password goes by its environment."""
    return subprocess.Popen(
        [str(program), f"--dbname={program_target(url)}", *arguments],
        env=_environment(url),
        **options,
    )


def _environment(url: URL) -> dict[str, str]:
    password = {"PGPASSWORD": str(url.password)} if url.password is not None else {}
    return {**plain_environment(), **password, "PGCONNECT_TIMEOUT": "10"}


def plain_environment() -> dict[str, str]:
    """Our environment, with messages in English, which we read."""
    return {**os.environ, "LC_ALL": "C"}


def last_line(said: bytes | None, *, first: bool = False) -> str:
    """The last line that a program said, or the first of its errors, notices left aside."""
    lines = (said or b"").decode(errors="replace").strip().splitlines() or ["nothing"]
    errors = [line for line in lines if "ERROR" in line or "error:" in line] or lines
    return errors[0] if first else lines[-1]
