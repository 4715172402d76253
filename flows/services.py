"""The services around a run: the database, the Prefect server, the background processes."""

from __future__ import annotations

import json
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

from db import portfolios, roles
from db.embedded import free_port
from db.engine import ignore_variables, make_engine, psql_url, require_supported_server
from db.errors import DatabaseUnavailableError, RefusedError
from db.names import USUAL
from flows import logs
from flows.settings import Settings

PREFECT_START_SECONDS = 90


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
    if embedded.port() is None:
        raise DatabaseUnavailableError("The embedded Postgres is not running; start it with `creditlens up`.")
    return make_engine(embedded.url(), job=True)


def require_ours(settings: Settings, engine: Engine) -> None:
    """Raise RefusedError if another installation uses the database: its roles have that one's passwords."""
    if portfolios.key_of_another(engine, settings.secrets()["viewer"]):
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
    """Start the embedded server, if that is what is used and it is down."""
    if settings.database_url is None:
        ignore_variables(embedded=True)
        settings.embedded().start()


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
    return {
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


def use_prefect(settings: Settings, *, quiet: bool = True) -> str | None:
    """Prepare this process for Prefect, before it is imported; the server's address, None for a temporary one.

    `quiet` leaves errors on the terminal to our command: Prefect would print each with its traceback. Its
    server still gets everything.
    """
    if quiet:
        os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    for name, value in prefect_environment(settings).items():
        os.environ.setdefault(name, value)
    url = prefect_url(settings)
    if url:
        os.environ["PREFECT_API_URL"] = url
    else:
        os.environ.pop("PREFECT_API_URL", None)
        os.environ["PREFECT_SERVER_ALLOW_EPHEMERAL_MODE"] = "true"
    return url


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
