"""An installation's Prefect server: its settings, its address, its start."""

from __future__ import annotations

import atexit
import fcntl
import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from db.server.embedded import free_port
from flows.installation import identity, program
from flows.installation.machine import ours
from flows.services import logs
from flows.services.http import answers, as_json, get
from flows.services.processes import (
    Background,
    ServiceError,
    last_port,
    log,
    note_port,
    prefect_headers,
    require_access,
    use_temporary_folder,
)
from flows.settings import Settings

# A server that has ended is noticed at once; one on a busy machine takes its time.
PREFECT_START_SECONDS = 300
# How long a server that PREFECT_API_URL names may take, which may have been started together with us.
PREFECT_ELSEWHERE_SECONDS = 30
PREFECT_TEMPORARY_SECONDS = 600
# A server of ours that holds its port is alive: on a busy machine its answer takes longer than a stranger's may.
PREFECT_BUSY_SECONDS = 10.0
# Another program may take a port between our look and the server's start.
PORTS_TRIED = 5
# Names the installation whose local server PREFECT_API_URL means, where we have set it ourselves.
OWN_PREFECT = "CREDITLENS_OWN_PREFECT"


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
        home = as_json(get(f"{url}/admin/settings", headers=prefect_headers()))
        own = isinstance(home, dict) and home.get("home") == str(settings.state / "prefect")
    return url if own and is_prefect(url, PREFECT_BUSY_SECONDS) else None


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


def temporary_prefect(settings: Settings) -> str:
    """Start a Prefect server that ends with this process; its address. Raises ServiceError if none answers."""
    path = settings.state / "prefect-temporary.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    logs.bound(path)
    port = free_port(None)
    command = [sys.executable, "-m", "flows.services.temporary_prefect", str(port), str(os.getpid())]
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
    # Its pages would ask whatever PREFECT_API_URL names, or port 4200.
    pages = {"PREFECT_UI_API_URL": os.environ.get("PREFECT_UI_API_URL", f"http://127.0.0.1:{port}/api")}
    prefect_server(settings).start(command, prefect_environment(settings) | pages, prefect_made_of(settings))


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


def is_prefect(url: str, seconds: float = 2.0) -> bool:
    """Whether Prefect's API is at the address: many a program says 200 to every question."""
    if as_json(get(f"{url}/health", seconds)) is not True:
        return False
    found = get(f"{url}/admin/version", seconds, headers=prefect_headers())
    # Some want to know who asks, or keep their version to themselves.
    closed = found is not None and found[0] in {401, 403, 404}
    version = as_json(found)
    return closed or (isinstance(version, str) and version[:1].isdigit())
