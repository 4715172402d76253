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
from collections.abc import Iterator, Mapping
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
from flows import logs, program
from flows.settings import Settings

PREFECT_START_SECONDS = 90


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
    """Start the embedded server, if that is what is used and it is down."""
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

    def made_of(self) -> dict[str, str]:
        """What `start` or `adopt` noted that it was started with; nothing of a service of an older program."""
        try:
            found: dict[str, str] = json.loads(self._file.read_text()).get("made_of", {})
            return found
        except (FileNotFoundError, ValueError):
            return {}

    def died(self) -> bool:
        """Whether it was started here and has ended without being stopped."""
        return self._file.exists() and not self.elsewhere() and self.pid() is None

    def start(
        self, command: list[str], environment: dict[str, str], made_of: Mapping[str, str] | None = None
    ) -> int:
        """Start it unless it runs; its process id. `made_of` is noted beside it."""
        running = self.pid()
        if running is not None:
            return running
        self.state.mkdir(parents=True, exist_ok=True)
        logs.bound(self.log)
        with self.log.open("a") as output:
            # What stands before this line is the past, whose errors are no longer anybody's.
            output.write(f"{logs.STARTED} {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC: {self.name}\n")
            output.flush()
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, **environment},
            )
        self._know(process.pid, made_of or {})
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

    def _know(self, pid: int, made_of: Mapping[str, str]) -> None:
        known = {
            "pid": pid,
            "started": psutil.Process(pid).create_time(),
            "namespace": _namespace(),
            "made_of": dict(made_of),
        }
        partial = self._file.with_suffix(".pid.partial")
        partial.write_text(json.dumps(known))
        partial.replace(self._file)

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
    prefect_server(settings).start(command, prefect_environment(settings), prefect_made_of(settings))


def prefect_made_of(settings: Settings) -> dict[str, str]:
    """What the local Prefect server is started with."""
    return {"packages": program.packages(), **prefect_environment(settings)}


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
