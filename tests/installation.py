"""An installation of its own for each module."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import pytest
from sqlalchemy import Engine, text

from db.engine import psql_url
from db.server.embedded import free_port, new_password, packaged_binaries
from flows.settings import Settings


@dataclass(frozen=True)
class Installation:
    """A database with readers, a state folder, and the environment that points to them."""

    engine: Engine
    settings: Settings
    folder: Path

    def value(self, query: str) -> object:
        """One value, as the owner sees it."""
        with self.engine.connect() as connection:
            return connection.scalar(text(query))

    def rows(self, query: str) -> list[tuple[object, ...]]:
        """Rows, as the owner sees them."""
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query))]


def settings_of(patch: pytest.MonkeyPatch, state: Path, url: str | None = None) -> Settings:
    patch.setenv("CREDITLENS_STATE", str(state))
    for name in ("CREDITLENS_DATABASE_URL", "DATABASE_URL"):
        patch.delenv(name, raising=False)
    if url is not None:
        patch.setenv("CREDITLENS_DATABASE_URL", url)
    return Settings()


@pytest.fixture(scope="module")
def installation(
    prefect_api: str, new_database: Callable[[], Engine], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """An installation without a model or a run."""
    assert prefect_api
    engine = new_database()
    folder = tmp_path_factory.mktemp("installation")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CREDITLENS_DATABASE_URL", psql_url(engine.url))
        patch.setenv("CREDITLENS_STATE", str(folder / "state"))
        patch.setenv("CREDITLENS_TRIALS", "0")
        patch.setenv("CREDITLENS_CHUNK_ROWS", "100")
        patch.setenv("CREDITLENS_THREADS", "2")
        patch.delenv("CREDITLENS_DATA", raising=False)
        yield Installation(engine, Settings(), folder)


@pytest.fixture(scope="module")
def files(installation: Installation, new_frame: pl.DataFrame) -> tuple[Path, Path]:
    """Files of 2,000 former and 300 new customers."""
    from scoring.sample import applications

    former, new = installation.folder / "application_train.csv", installation.folder / "application_test.csv"
    applications(2_000, seed=1, labelled=True).write_csv(former)
    new_frame.write_csv(new)
    return former, new


@dataclass(frozen=True)
class ForeignServer:
    """A running Postgres that is not ours."""

    port: int
    password: str
    folder: Path

    def url(self, database: str = "scores", user: str = "bank", password: str | None = None, more: str = "") -> str:
        """An address of a database on it."""
        return f"postgres://{user}:{password or self.password}@127.0.0.1:{self.port}/{database}{more}"

    def run(self, *statements: str, database: str = "postgres") -> None:
        """Statements of its superuser, each a transaction of its own."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def value(self, query: str, database: str = "scores") -> object:
        """One value, as its superuser sees it."""
        with psycopg.connect(self.url(database)) as connection:
            row = connection.execute(query.encode()).fetchone()
            return row and row[0]


def service_user() -> dict[str, Any]:
    """Whom Postgres runs as where we are root, as `subprocess` takes it."""
    if os.geteuid() != 0:
        return {}
    import pwd

    entry = next(pwd.getpwnam(name) for name in ("creditlens", "postgres") if _known(name))
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


@contextmanager
def foreign_server(open_folder: Path, *options: str, tls: bool = False) -> Iterator[ForeignServer]:
    """A Postgres that is not ours: Debian's where it is installed, else the wheel's older one.

    Over TCP, and over a socket in its folder; with `tls`, it lets nobody in without, and its certificate is
    `server.crt` in the folder.
    """
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    older = packaged_binaries().parent.parent / "pginstall" / "bin"
    binaries = next((path for path in reversed(debian) if (path / "initdb").exists()), older)
    port = free_port(None)
    folder = open_folder / f"foreign-{port}"
    folder.mkdir()
    user = service_user()
    if user:
        os.chown(folder, user["user"], user["group"])
    password = new_password()
    (folder / "password").write_text(password)
    run = {"check": True, "cwd": folder, "stdout": subprocess.DEVNULL, "stdin": subprocess.DEVNULL, **user}
    data = folder / "data"
    subprocess.run(
        [binaries / "initdb", "-D", data, "-U", "bank", "-A", "scram-sha-256", f"--pwfile={folder / 'password'}",
         "-E", "UTF8"], **run
    )  # fmt: skip
    settings = [f"port={port}", "listen_addresses=127.0.0.1", f"unix_socket_directories={folder}", *options]
    if tls:
        subprocess.run(
            ["openssl", "req", "-new", "-x509", "-days", "2", "-nodes", "-subj", "/CN=127.0.0.1", "-addext",
             "subjectAltName=IP:127.0.0.1", "-out", folder / "server.crt", "-keyout", folder / "server.key"],
            stderr=subprocess.DEVNULL, **run
        )  # fmt: skip
        settings += ["ssl=on", f"ssl_cert_file={folder}/server.crt", f"ssl_key_file={folder}/server.key"]
        (data / "pg_hba.conf").write_text("hostssl all all 127.0.0.1/32 scram-sha-256\n")
    words = " ".join(f"-c {setting}" for setting in settings)
    subprocess.run([binaries / "pg_ctl", "-D", data, "-o", words, "-l", folder / "log", "-w", "start"], **run)
    made = ForeignServer(port, password, folder)
    try:
        made.run("CREATE DATABASE scores")
        yield made
    finally:
        subprocess.run([binaries / "pg_ctl", "-D", data, "-m", "immediate", "stop"], **run)


@pytest.fixture(scope="module")
def foreign_postgres(open_folder: Path) -> Iterator[str]:
    """The address of an empty database on a Postgres that is not ours, reached over TCP."""
    with foreign_server(open_folder) as server:
        yield server.url()


def _known(name: str) -> bool:
    import pwd

    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True
