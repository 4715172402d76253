"""The services around a run: the database, the Prefect server, the background processes.

Many installations may live on one machine, copies of one another among them. A process, a port or a server is ours
only if something that no copy carries along says so: the folder in which it was started, the socket on which it
listens.
"""

from __future__ import annotations

import atexit
import base64
import fcntl
import http.client
import importlib.util
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import Engine

from db import portfolios, roles
from db.embedded import free_port
from db.engine import ignore_variables, make_engine, psql_url, require_supported_server
from db.errors import DatabaseUnavailableError, EmbeddedPostgresError, RefusedError
from db.names import USUAL
from flows import atomic, identity, logs, private, program
from flows.machine import ours
from flows.settings import Settings

log = logging.getLogger("creditlens")
# A server that has ended is noticed at once; one on a busy machine takes its time.
PREFECT_START_SECONDS = 300
# How long a server that PREFECT_API_URL names may take, which may have been started together with us.
PREFECT_ELSEWHERE_SECONDS = 30
PREFECT_TEMPORARY_SECONDS = 600
# Another program may take a port between our look and the server's start.
PORTS_TRIED = 5
# Names the installation whose local server PREFECT_API_URL means, where we have set it ourselves.
OWN_PREFECT = "CREDITLENS_OWN_PREFECT"


class ServiceError(Exception):
    """A background service did not come up; the message names its log."""


def connect_database(settings: Settings) -> Engine:
    """An engine for the database that the settings name; an embedded server that is down is not started.

    Raises DatabaseUnavailableError with the way out.
    """
    ignore_variables(embedded=settings.database_url is None)
    if settings.database_url is not None:
        engine = make_engine(settings.database_url.get_secret_value(), job=True)
        require_supported_server(engine)
        return engine
    embedded = settings.embedded()
    embedded.require_own_data()
    if embedded.port() is None:
        raise DatabaseUnavailableError("The embedded Postgres is not running; start it with `creditlens up`.")
    return make_engine(embedded.url(), job=True)


def require_ours(settings: Settings, engine: Engine) -> None:
    """Raise RefusedError if another installation uses the database: its roles have that one's passwords.

    The embedded server is its state folder's own, whatever became of the secrets.
    """
    if settings.database_url is not None and portfolios.key_of_another(engine, settings.secrets()["viewer"]):
        raise RefusedError(
            f"The database {engine.url.database} belongs to another installation, whose passwords would be"
            f" replaced: copy that one's secrets.json into {settings.state} to share it, or, if that one is gone,"
            " run `creditlens migrate --take-over`."
        )


def connect_writer(settings: Settings) -> Engine:
    """An engine for the jobs: as the writer where the database has one, else as whom the settings name."""
    engine = connect_database(settings)
    writer = roles.names(engine).writer
    if engine.url.username == writer or not roles.has_writer(engine):
        return engine
    require_ours(settings, engine)
    engine.dispose()
    return make_engine(engine.url.set(username=writer, password=settings.secrets()["writer"]), job=True)


@contextmanager
def database(settings: Settings, *, writer: bool = False) -> Iterator[Engine]:
    """`connect_database` (or `connect_writer`) for the block; its connections are closed at the end."""
    engine = connect_writer(settings) if writer else connect_database(settings)
    try:
        yield engine
    finally:
        engine.dispose()


def start_database(settings: Settings) -> None:
    """Close the state folder to others, and start the embedded server, if that is what is used and it is down."""
    settings.secrets()
    closed = private.tighten(settings.state, embedded=settings.database_url is None)
    if closed:
        log.info("Closed to others: %s files and folders in %s.", f"{closed:,}", settings.state)
    if settings.database_url is not None:
        return
    ignore_variables(embedded=True)
    copied_from = identity.of(settings.state).copied_from
    try:
        settings.embedded().start()
    except EmbeddedPostgresError as error:
        if copied_from is None:
            raise
        raise EmbeddedPostgresError(
            f"{str(error).rstrip('.')}; this state folder is a copy of {copied_from}, and one that is made while"
            " Postgres runs may not be whole: `creditlens backup FILE` there and `creditlens restore FILE` in a new"
            " state folder bring everything over."
        ) from error


def reader_url(settings: Settings, role: str = USUAL.analyst) -> str:
    """A reading role's address of the database, as psql takes it.

    Parameters
    ----------
    role: its usual name; in this database it may have another one.
    """
    password = settings.secrets()[{USUAL.analyst: "analyst", USUAL.dashboard: "dashboard"}[role]]
    with database(settings) as engine:
        require_ours(settings, engine)
        name = USUAL.renamed(roles.names(engine))[role]
        return psql_url(engine.url.set(username=name, password=password))


# --- background processes -------------------------------------------------------------------------------------


def _namespace() -> str | None:
    """Where a process id means something: containers that share the state folder each count their own."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return None


def temporary_folder(state: Path, name: str) -> Path:
    """The folder for temporary files of one of our processes: the system's may belong to somebody else."""
    folder = state / "tmp" / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


# Runs the command in its own place, with its own number, once its starter has noted that number and says so. If the
# starter is killed before, the command never runs: nobody would know of it, and nobody could stop it.
_ONCE_NOTED = 'read -r noted && exec "$@" </dev/null'


def _folder_mark(folder: Path) -> list[int]:
    """What tells a folder from a copy of it."""
    found = folder.stat()
    return [found.st_dev, found.st_ino]


@dataclass(frozen=True, slots=True)
class Background:
    """A process of ours that outlives the command that started it; known by a file with its id.

    The file of another installation, which is there in a copied state folder, counts as none.
    """

    name: str
    state: Path

    @property
    def log(self) -> Path:
        return self.state / f"{self.name}.log"

    @property
    def _file(self) -> Path:
        return self.state / f"{self.name}.pid"

    def since(self) -> datetime | None:
        """When it was started, whatever has become of it; None if it was not, or was stopped."""
        if self._known() is None:
            return None
        try:
            return datetime.fromtimestamp(self._file.stat().st_mtime, UTC)
        except FileNotFoundError:
            return None

    def elsewhere(self) -> bool:
        """Whether it was started where we see no processes, in another container."""
        known = self._known()
        return known is not None and known.get("namespace", _namespace()) != _namespace()

    def pid(self) -> int | None:
        """The process id if it runs here; a recycled id of another program does not count."""
        known = self._known()
        if known is None or known.get("namespace", _namespace()) != _namespace():
            return None
        if known.get("folder") not in (None, _folder_mark(self.state)):
            return None
        process = _process(known)
        return process.pid if process else None

    def made_of(self) -> dict[str, str]:
        """What `start` or `adopt` noted that it was started with; nothing of a service of an older program."""
        found: dict[str, str] = (self._known() or {}).get("made_of", {})
        return found

    def died(self) -> bool:
        """Whether it was started here and has ended without being stopped."""
        return self._known() is not None and not self.elsewhere() and self.pid() is None

    def listens(self, port: int) -> bool | None:
        """Whether it, or a child of it, listens on a TCP port; None if we may not know."""
        pid = self.pid()
        if pid is None:
            return None if self.elsewhere() else False
        try:
            process = psutil.Process(pid)
            return any(
                socket.status == psutil.CONN_LISTEN and socket.laddr.port == port
                for member in (process, *process.children(recursive=True))
                for socket in member.net_connections("tcp")
            )
        except psutil.AccessDenied:
            return None
        except psutil.Error:
            return False

    def lost(self, port: int) -> bool:
        """Whether another program has taken a TCP port of loopback on which this one was to listen."""
        # This one may begin to listen between two looks.
        return self.listens(port) is False and free_port(port) != port and self.listens(port) is False

    def start(
        self, command: list[str], environment: dict[str, str], made_of: Mapping[str, str] | None = None
    ) -> int:
        """Start it unless it runs; its process id. `made_of` is noted beside it."""
        running = self.pid()
        if running is not None:
            return running
        self.state.mkdir(parents=True, exist_ok=True)
        logs.bound(self.log)
        # What one that was killed has left.
        shutil.rmtree(temporary_folder(self.state, self.name), ignore_errors=True)
        with self.log.open("a") as output:
            # What stands before this line is the past, whose errors are no longer anybody's.
            output.write(f"{logs.STARTED} {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC: {self.name}\n")
            output.flush()
            process = subprocess.Popen(
                ["/bin/sh", "-c", _ONCE_NOTED, self.name, *command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={
                    **os.environ,
                    **environment,
                    "CREDITLENS_STATE": str(self.state),
                    "TMPDIR": str(temporary_folder(self.state, self.name)),
                },
            )
        assert process.stdin is not None
        with suppress(BrokenPipeError), process.stdin as noted:
            try:
                self._know(process.pid, made_of or {})
            except BaseException:
                # On a full disk, for one: nobody would know of it.
                process.kill()
                process.wait()
                raise
            noted.write(b"noted\n")
        # It is meant to outlive us: without a return code, Popen would warn that it is left behind.
        process.returncode = 0
        return process.pid

    def adopt(self, made_of: Mapping[str, str] | None = None) -> None:
        """Be known as this process, which is about to become the service."""
        self.state.mkdir(parents=True, exist_ok=True)
        self._know(os.getpid(), made_of or {})

    def forget(self) -> None:
        """No more be known as this process, which somebody ended on purpose."""
        if self.pid() == os.getpid():
            self._file.unlink(missing_ok=True)

    def _known(self) -> dict[str, Any] | None:
        """What the file says; None if there is none, or if it is another installation's."""
        try:
            known = json.loads(self._file.read_text())
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return None
        if not isinstance(known, dict) or not known.keys() >= {"pid", "started"}:
            return None
        if known.get("stopping") and _process(known) is None:
            # It has ended, and whoever stopped it was killed before that was noted.
            return None
        owner = known.get("installation")
        if owner is None:
            return known if self._before_0_4(known) else None
        return known if owner == identity.of(self.state).name else None

    def _before_0_4(self, known: dict[str, Any]) -> bool:
        """Whether a file that names no installation is ours: its process, if it is there, works in our folder."""
        process = _process(known)
        if process is None:
            return True
        try:
            environment = process.environ()
        except psutil.Error:
            return False
        homes = {"CREDITLENS_STATE": "", "PREFECT_HOME": "prefect", "SUPERSET_HOME": "superset"}
        return any(environment.get(name) == str(self.state / home) for name, home in homes.items())

    def _know(self, pid: int, made_of: Mapping[str, str]) -> None:
        self._note(
            {
                "pid": pid,
                "started": psutil.Process(pid).create_time(),
                "namespace": _namespace(),
                "installation": identity.of(self.state).name,
                "folder": _folder_mark(self.state),
                "made_of": dict(made_of),
            }
        )

    def _note(self, known: dict[str, Any]) -> None:
        atomic.write(self._file, json.dumps(known))

    def stop(self, patience: float = 20.0) -> bool:
        """Ask it and its children to end, and end them after `patience` seconds; True if it ran."""
        pid = self.pid()
        if pid is None:
            self._file.unlink(missing_ok=True)
            return False
        # It stays known until it has ended: if we are killed meanwhile, the next command can stop it.
        with suppress(OSError):
            # A full disk keeps nothing from being stopped.
            self._note({**(self._known() or {}), "stopping": True})
        parent = psutil.Process(pid)
        family = [*parent.children(recursive=True), parent]
        parent.send_signal(signal.SIGTERM)
        _, alive = psutil.wait_procs(family, timeout=patience)
        for process in alive:
            process.kill()
        psutil.wait_procs(alive, timeout=5)
        if self._known() is None:
            # Another command may have started it anew by now.
            self._file.unlink(missing_ok=True)
        return True


def _process(known: dict[str, Any]) -> psutil.Process | None:
    """The process of a file, if it is still the same one."""
    try:
        process = psutil.Process(known["pid"])
        same = abs(process.create_time() - known["started"]) < 1 and process.status() != psutil.STATUS_ZOMBIE
        return process if same else None
    except (psutil.Error, TypeError, ValueError):
        return None


def note_port(state: Path, name: str, port: int) -> None:
    """Note on which port one of our servers listens."""
    atomic.write(state / f"{name}.port", str(port))


def last_port(state: Path, name: str) -> int | None:
    """The port that was noted last; None if there is none, or if the file is damaged."""
    try:
        port = int((state / f"{name}.port").read_text())
    except (FileNotFoundError, ValueError):
        return None
    return port if 0 < port < 65_536 else None


# --- Prefect --------------------------------------------------------------------------------------------------


def prefect_server(settings: Settings) -> Background:
    """The local Prefect server's process."""
    return Background("prefect-server", settings.state)


def prefect_environment(settings: Settings) -> dict[str, str]:
    """Prefect's settings: its files in our state folder, no telemetry, results kept nowhere."""
    package = importlib.util.find_spec("prefect")
    pages = {}
    if package is None or package.origin is None or not ours(Path(package.origin).parent / "server"):
        # It prepares its pages beside its package, where only who installed it may write.
        pages = {"PREFECT_UI_STATIC_DIRECTORY": str(settings.state / "prefect" / "pages")}
    return {
        **pages,
        "PREFECT_HOME": str(settings.state / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "false",
        # Its database would keep every run with all its logs for ever; our ledger keeps what matters.
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
        # It would call late nights late, many at once, over which SQLite fails ("database is locked"). They are
        # started by their time, whatever they are called.
        "PREFECT_SERVER_SERVICES_LATE_RUNS_ENABLED": "false",
        "PREFECT_LOGGING_LEVEL": os.environ.get("PREFECT_LOGGING_LEVEL", "WARNING"),
        "PREFECT_LOGGING_EXTRA_LOGGERS": "creditlens",
        # With the day, without which nobody can tell an old error from a new one.
        "PREFECT_LOGGING_FORMATTERS_STANDARD_DATEFMT": "%Y-%m-%d %H:%M:%S",
        # Our commands log before and after their flow too; that goes to the terminal only.
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
        "PREFECT_SERVER_API_HOST": "127.0.0.1",
        "PREFECT_UI_ENABLED": "true",
        "PREFECT_CLI_PROMPT": "false",
    }


def prefect_url(settings: Settings) -> str | None:
    """The API address of a Prefect server that answers: the one in PREFECT_API_URL, or our local one."""
    configured = configured_prefect_url(settings)
    if configured and is_prefect(configured):
        return configured
    return _own_prefect_url(settings)


def configured_prefect_url(settings: Settings) -> str | None:
    """What PREFECT_API_URL names, unless it is the local server, as one of our processes tells another."""
    url = os.environ.get("PREFECT_API_URL")
    if not url or os.environ.get(OWN_PREFECT) == identity.of(settings.state).name:
        return None
    return url.rstrip("/")


def local_prefect_url(settings: Settings) -> str:
    """Where the local Prefect server listens if it runs."""
    return f"http://127.0.0.1:{_prefect_port(settings)}/api"


def _prefect_port(settings: Settings) -> int:
    return last_port(settings.state, "prefect") or settings.prefect_port


def _own_prefect_url(settings: Settings) -> str | None:
    """The address of the local server, if it answers and is the one that this installation started."""
    server, url = prefect_server(settings), local_prefect_url(settings)
    own = server.listens(_prefect_port(settings))
    if own is None:
        home = _as_json(_get(f"{url}/admin/settings", headers=prefect_headers()))
        own = isinstance(home, dict) and home.get("home") == str(settings.state / "prefect")
    return url if own and is_prefect(url) else None


def use_prefect(settings: Settings, *, quiet: bool = True) -> str:
    """Prepare this process for Prefect, before it is imported; the address of its server.

    Where none runs, a temporary one is started, which ends with this process. Raises ServiceError if none answers.

    `quiet` leaves errors on the terminal to our command: Prefect would print each with its traceback. Its
    server still gets everything.
    """
    if quiet:
        os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    for name, value in prefect_environment(settings).items():
        os.environ.setdefault(name, value)
    use_temporary_folder(settings, "command")
    configured, url = configured_prefect_url(settings), prefect_url(settings)
    os.environ.pop(OWN_PREFECT, None)
    if url is None and prefect_server(settings).pid() is not None:
        # It has just been started, or the machine is busy.
        url = wait_for_prefect(settings)
    if url is None or url != configured:
        # Ours, or a temporary one: whatever this process starts must not take it for a server that somebody names.
        os.environ[OWN_PREFECT] = identity.of(settings.state).name
    os.environ["PREFECT_API_URL"] = url = url or temporary_prefect(settings)
    require_access(url)
    return url


def prefect_headers() -> dict[str, str]:
    """What tells a Prefect server who asks, by the same settings and in the same order as Prefect's own client."""
    if words := os.environ.get("PREFECT_API_AUTH_STRING"):
        return {"Authorization": f"Basic {base64.b64encode(words.encode()).decode()}"}
    if key := os.environ.get("PREFECT_API_KEY"):
        return {"Authorization": f"Bearer {key}"}
    return {}


def require_access(prefect_url: str) -> None:
    """Raise ServiceError if the Prefect server wants to know who asks, and does not know us."""
    found = _get(f"{prefect_url}/admin/version", headers=prefect_headers())
    if found is not None and found[0] == 401:
        raise ServiceError(no_access(prefect_url))


def no_access(prefect_url: str) -> str:
    """What to do about a Prefect server that does not let us in."""
    given = os.environ.get("PREFECT_API_AUTH_STRING") or os.environ.get("PREFECT_API_KEY")
    return (
        f"The Prefect server at {prefect_url} {'refuses our' if given else 'asks for a'} password: set"
        " PREFECT_API_AUTH_STRING to the one that its PREFECT_SERVER_API_AUTH_STRING names."
    )


def temporary_prefect(settings: Settings) -> str:
    """Start a Prefect server that ends with this process; its address. Raises ServiceError if none answers."""
    path = settings.state / "prefect-temporary.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    logs.bound(path)
    port = free_port(None)
    command = [sys.executable, "-m", "flows.temporary_prefect", str(port), str(os.getpid())]
    with path.open("a") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **prefect_environment(settings)},
        )
    atexit.register(_end, process)
    url = f"http://127.0.0.1:{port}/api"
    started = time.monotonic()
    told = False
    while process.poll() is None and time.monotonic() - started < PREFECT_TEMPORARY_SECONDS:
        if answers(f"{url}/health", seconds=10):
            return url
        if not told and time.monotonic() - started > 20:
            told = True
            log.info("Waiting for a temporary Prefect server; `creditlens up` keeps one running ...")
        time.sleep(0.1)
    _end(process)
    raise ServiceError(
        f"A temporary Prefect server did not come up in {time.monotonic() - started:.0f} s; see {path}, or start"
        " one with `creditlens up`."
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def use_temporary_folder(settings: Settings, name: str) -> None:
    """Keep temporary files of this process and its children in the state folder."""
    if not Path(os.environ.get("TMPDIR", "")).is_relative_to(settings.state / "tmp"):
        os.environ["TMPDIR"] = str(temporary_folder(settings.state, name))
        # It is looked up once.
        tempfile.tempdir = None


def start_prefect(settings: Settings) -> None:
    """Start the local Prefect server in the background; returns at once, see `wait_for_prefect`."""
    if configured_prefect_url(settings):
        return
    with _starting_prefect(settings):
        if prefect_server(settings).pid() is None and _own_prefect_url(settings) is None:
            _start_prefect(settings)


@contextmanager
def _starting_prefect(settings: Settings) -> Iterator[None]:
    """Two commands at once must not start two servers."""
    settings.state.mkdir(parents=True, exist_ok=True)
    with (settings.state / "prefect.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _start_prefect(settings: Settings) -> None:
    port = free_port(settings.prefect_port)
    note_port(settings.state, "prefect", port)
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    prefect_server(settings).start(command, prefect_environment(settings), prefect_made_of(settings))


def prefect_made_of(settings: Settings) -> dict[str, str]:
    """What the local Prefect server is started with."""
    return {"packages": program.packages(), **prefect_environment(settings)}


def _has_lost_its_port(settings: Settings) -> bool:
    """Whether another program was faster to take the port of the local server."""
    server, port = prefect_server(settings), _prefect_port(settings)
    if server.elsewhere():
        return False
    if server.pid() is not None:
        return server.lost(port)
    end = server.log.read_bytes()[-4_000:].decode(errors="replace") if server.log.exists() else ""
    return free_port(port) != port or "already in use" in end


def wait_for_prefect(settings: Settings) -> str:
    """The server's address, once it answers. Raises ServiceError naming its log, or its address, if it does not."""
    configured = configured_prefect_url(settings)
    if configured:
        if url := _once_it_answers(settings, PREFECT_ELSEWHERE_SECONDS):
            return url
        raise ServiceError(
            f"No Prefect server answers at {configured}, which PREFECT_API_URL names; start it, or unset"
            " PREFECT_API_URL to use a local one."
        )
    for _ in range(PORTS_TRIED):
        if url := _once_it_answers(settings, PREFECT_START_SECONDS):
            return url
        with _starting_prefect(settings):
            if not _has_lost_its_port(settings):
                break
            prefect_server(settings).stop()
            _start_prefect(settings)
    raise ServiceError(f"The Prefect server did not come up; see {prefect_server(settings).log}.")


def _once_it_answers(settings: Settings, seconds: float) -> str | None:
    """The server's address; None if it does not answer in time, and at once if it is ours and cannot."""
    local, server = configured_prefect_url(settings) is None, prefect_server(settings)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if url := prefect_url(settings):
            return url
        if local and not server.elsewhere() and (server.pid() is None or server.lost(_prefect_port(settings))):
            return None
        time.sleep(0.25)
    return None


# --- asking servers -------------------------------------------------------------------------------------------

_LARGEST_ANSWER = 1_000_000


def is_prefect(url: str) -> bool:
    """Whether Prefect's API is at the address: many a program says 200 to every question."""
    if _as_json(_get(f"{url}/health")) is not True:
        return False
    found = _get(f"{url}/admin/version", headers=prefect_headers())
    # Some want to know who asks, or keep their version to themselves.
    closed = found is not None and found[0] in {401, 403, 404}
    version = _as_json(found)
    return closed or (isinstance(version, str) and version[:1].isdigit())


def answers(url: str, seconds: float = 2.0) -> bool:
    """Whether a GET of a loopback or configured address gives 200."""
    found = _get(url, seconds)
    return found is not None and found[0] == 200


def _as_json(found: tuple[int, bytes] | None) -> object:
    try:
        return json.loads(found[1]) if found and found[0] == 200 else None
    except ValueError:
        return None


def _get(url: str, seconds: float = 2.0, headers: Mapping[str, str] | None = None) -> tuple[int, bytes] | None:
    """Status and content that a GET gives; None if nothing answers in HTTP."""
    try:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(urllib.request.Request(url, headers=dict(headers or {})), timeout=seconds) as response:
            return response.status, response.read(_LARGEST_ANSWER)
    except urllib.error.HTTPError as error:
        return error.code, b""
    except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError):
        return None
