"""An installation of its own for each module."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import psycopg
import pytest
from sqlalchemy import Engine, text

from db.embedded import free_port, new_password, packaged_binaries
from db.engine import psql_url
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


@pytest.fixture(scope="module")
def foreign_postgres(open_folder: Path) -> Iterator[str]:
    """A Postgres that is not ours, reached over TCP: Debian's where it is installed, else the wheel's older one."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    older = packaged_binaries().parent.parent / "pginstall" / "bin"
    binaries = next((path for path in reversed(debian) if (path / "initdb").exists()), older)
    port = free_port(None)
    folder = open_folder / f"foreign-{port}"
    folder.mkdir()
    user = {}
    if os.geteuid() == 0:
        import pwd

        entry = next(pwd.getpwnam(name) for name in ("creditlens", "postgres") if _known(name))
        os.chown(folder, entry.pw_uid, entry.pw_gid)
        user = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    password = new_password()
    (folder / "password").write_text(password)
    run = {"check": True, "cwd": folder, "stdout": subprocess.DEVNULL, "stdin": subprocess.DEVNULL, **user}
    data = str(folder / "data")
    subprocess.run(
        [binaries / "initdb", "-D", data, "-U", "bank", "-A", "scram-sha-256", f"--pwfile={folder / 'password'}",
         "-E", "UTF8"], **run
    )  # fmt: skip
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories="
    subprocess.run([binaries / "pg_ctl", "-D", data, "-o", options, "-l", folder / "log", "-w", "start"], **run)
    address = f"postgres://bank:{password}@127.0.0.1:{port}/"
    with psycopg.connect(address + "postgres", autocommit=True) as connection:
        connection.execute("CREATE DATABASE scores")
    yield address + "scores"
    subprocess.run([binaries / "pg_ctl", "-D", data, "-m", "immediate", "stop"], **run)


def _known(name: str) -> bool:
    import pwd

    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True
