"""The services around a run: the database, the Prefect server, the background processes."""

from __future__ import annotations

import atexit
import importlib.util
import json
import logging
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil
from sqlalchemy import Engine

from db.embedded import WRITER, free_port
from db.engine import make_engine, parse_url, psql_url, require_supported_server
from db.errors import DatabaseUnavailableError
from db.roles import ANALYST, DASHBOARD, has_writer
from flows import logs, private
from flows.machine import ours
from flows.settings import Settings

log = logging.getLogger("creditlens")
PREFECT_START_SECONDS = 90
PREFECT_TEMPORARY_SECONDS = 600


class ServiceError(Exception):
    """A background service did not come up; the message names its log."""


def connect_database(settings: Settings) -> Engine:
    """An engine for the database that the settings name; an embedded server that is down is not started.

    Raises DatabaseUnavailableError with the way out.
    """
    if settings.database_url is not None:
        engine = make_engine(settings.database_url.get_secret_value())
        require_supported_server(engine)
        return engine
    embedded = settings.embedded()
    if embedded.port() is None:
        raise DatabaseUnavailableError("The embedded Postgres is not running; start it with `creditlens up`.")
    return make_engine(embedded.url())


def connect_writer(settings: Settings) -> Engine:
    """An engine for the jobs: as the writer where the database has one, else as whom the settings name."""
    engine = connect_database(settings)
    if engine.url.username == WRITER or not has_writer(engine):
        return engine
    engine.dispose()
    return make_engine(engine.url.set(username=WRITER, password=settings.secrets()["writer"]))


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
    if settings.database_url is None:
        settings.embedded().start()


def reader_url(settings: Settings, role: str = ANALYST) -> str:
    """A reading role's address of the database, as psql takes it."""
    password = settings.secrets()[{ANALYST: "analyst", DASHBOARD: "dashboard"}[role]]
    if settings.database_url is None:
        return psql_url(settings.embedded().url(role, password))
    url = parse_url(settings.database_url.get_secret_value())
    return psql_url(url.set(username=role, password=password))


# --- background processes -------------------------------------------------------------------------------------


def _namespace() -> str | None:
    """Where a process id means something: containers that share the state folder each count their own."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return None


@dataclass(frozen=True, slots=True)
class Background:
    """A process of ours that outlives the command that started it; known by a file with its id."""

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
        try:
            return datetime.fromtimestamp(self._file.stat().st_mtime, UTC)
        except FileNotFoundError:
            return None

    def elsewhere(self) -> bool:
        """Whether it was started where we see no processes, in another container."""
        try:
            return bool(json.loads(self._file.read_text()).get("namespace", _namespace()) != _namespace())
        except (FileNotFoundError, ValueError):
            return False

    def pid(self) -> int | None:
        """The process id if it runs here; a recycled id of another program does not count."""
        if self.elsewhere():
            return None
        try:
            known = json.loads(self._file.read_text())
            process = psutil.Process(known["pid"])
            same = abs(process.create_time() - known["started"]) < 1 and process.status() != psutil.STATUS_ZOMBIE
            return int(known["pid"]) if same else None
        except (FileNotFoundError, ValueError, KeyError, psutil.Error):
            return None

    def died(self) -> bool:
        """Whether it was started here and has ended without being stopped."""
        return self._file.exists() and not self.elsewhere() and self.pid() is None

    def start(self, command: list[str], environment: dict[str, str]) -> int:
        """Start it unless it runs; its process id."""
        running = self.pid()
        if running is not None:
            return running
        self.state.mkdir(parents=True, exist_ok=True)
        logs.bound(self.log)
        with self.log.open("a") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, **environment},
            )
        self._know(process.pid)
        # It is meant to outlive us: without a return code, Popen would warn that it is left behind.
        process.returncode = 0
        return process.pid

    def adopt(self) -> None:
        """Be known as this process, which is about to become the service."""
        self.state.mkdir(parents=True, exist_ok=True)
        self._know(os.getpid())

    def forget(self) -> None:
        """No more be known as this process, which somebody ended on purpose."""
        if self.pid() == os.getpid():
            self._file.unlink(missing_ok=True)

    def _know(self, pid: int) -> None:
        started = psutil.Process(pid).create_time()
        self._file.write_text(json.dumps({"pid": pid, "started": started, "namespace": _namespace()}))

    def stop(self, patience: float = 20.0) -> bool:
        """Ask it and its children to end, and end them after `patience` seconds; True if it ran."""
        pid = self.pid()
        self._file.unlink(missing_ok=True)
        if pid is None:
            return False
        parent = psutil.Process(pid)
        family = [*parent.children(recursive=True), parent]
        parent.send_signal(signal.SIGTERM)
        _, alive = psutil.wait_procs(family, timeout=patience)
        for process in alive:
            process.kill()
        return True


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
        "PREFECT_LOGGING_LEVEL": os.environ.get("PREFECT_LOGGING_LEVEL", "WARNING"),
        "PREFECT_LOGGING_EXTRA_LOGGERS": "creditlens",
        # Our commands log before and after their flow too; that goes to the terminal only.
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
        "PREFECT_SERVER_API_HOST": "127.0.0.1",
        "PREFECT_UI_ENABLED": "true",
        "PREFECT_CLI_PROMPT": "false",
    }


def prefect_url(settings: Settings) -> str | None:
    """The API address of a Prefect server that answers: the one in PREFECT_API_URL, or the local one."""
    candidates = [os.environ.get("PREFECT_API_URL"), local_prefect_url(settings)]
    return next((url for url in candidates if url and answers(f"{url}/health")), None)


def local_prefect_url(settings: Settings) -> str:
    """Where the local Prefect server listens if it runs."""
    try:
        port = int((settings.state / "prefect.port").read_text())
    except (FileNotFoundError, ValueError):
        port = settings.prefect_port
    return f"http://127.0.0.1:{port}/api"


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
    url = prefect_url(settings)
    if url is None and prefect_server(settings).pid() is not None:
        # It has just been started, or the machine is busy.
        url = wait_for_prefect(settings)
    os.environ["PREFECT_API_URL"] = url or temporary_prefect(settings)
    return os.environ["PREFECT_API_URL"]


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


def start_prefect(settings: Settings) -> None:
    """Start the local Prefect server in the background; returns at once, see `wait_for_prefect`."""
    if prefect_url(settings):
        return
    port = free_port(settings.prefect_port)
    (settings.state / "prefect.port").write_text(str(port))
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    prefect_server(settings).start(command, prefect_environment(settings))


def wait_for_prefect(settings: Settings) -> str:
    """The server's address, once it answers. Raises ServiceError naming its log if it does not."""
    deadline = time.monotonic() + PREFECT_START_SECONDS
    while time.monotonic() < deadline:
        if url := prefect_url(settings):
            return url
        if prefect_server(settings).pid() is None:
            break
        time.sleep(0.25)
    raise ServiceError(f"The Prefect server did not come up; see {prefect_server(settings).log}.")


def answers(url: str, seconds: float = 2.0) -> bool:
    """Whether a GET of a loopback or configured address gives 200."""
    try:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(url, timeout=seconds) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError, ValueError):
        return False
