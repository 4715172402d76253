"""The services around a run: the database, the Prefect server, the background processes.

Many installations may live on one machine, copies of one another among them. A process, a port or a server is ours
only if something that no copy carries along says so: the folder in which it was started, the socket on which it
listens.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from db.server.embedded import free_port
from flows.installation import atomic, identity
from flows.services import logs
from flows.services.http import get
from flows.settings import Settings

log = logging.getLogger("creditlens")


class ServiceError(Exception):
    """A background service did not come up; the message names its log."""


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
# Starts it and ends, so that it is nobody's child: one that another service starts, as the schedule may start
# Prefect anew, must not be taken for a part of that one, nor end with it. Its number goes to the first descriptor.
_DETACHED = """
import os, subprocess, sys
made = subprocess.Popen(sys.argv[2:], start_new_session=True)
os.write(int(sys.argv[1]), b"%d" % made.pid)
made.returncode = 0
"""


def _folder_mark(folder: Path) -> list[int]:
    """What tells a folder from a copy of it."""
    found = folder.stat()
    return [found.st_dev, found.st_ino]


@dataclass(frozen=True, slots=True)
class Background:
    """A process of ours that outlives the command that started it; known by a file with its id.

    The file of another installation, which is there in a copied state folder, counts as none.

    Attributes
    ----------
    patience: seconds that it and its children are given to end before they are killed.
    """

    name: str
    state: Path
    patience: float = 20.0

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
            reading, writing = os.pipe()
            with open(reading, "rb") as told:
                starter = subprocess.Popen(
                    [sys.executable, "-I", "-S", "-c", _DETACHED, str(writing),
                     "/bin/sh", "-c", _ONCE_NOTED, self.name, *command],
                    stdin=subprocess.PIPE,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    # A Ctrl+C is for us.
                    start_new_session=True,
                    pass_fds=[writing],
                    env={
                        **os.environ,
                        **environment,
                        "CREDITLENS_STATE": str(self.state),
                        "TMPDIR": str(temporary_folder(self.state, self.name)),
                    },
                )  # fmt: skip
                os.close(writing)
                pid = int(told.read() or 0)
        assert starter.stdin is not None
        with suppress(BrokenPipeError), starter.stdin as noted:
            if starter.wait() or not pid:
                raise ServiceError(f"{self.name} could not be started; see {self.log}.")
            try:
                self._know(pid, made_of or {})
            except BaseException:
                # On a full disk, for one: nobody would know of it.
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                raise
            noted.write(b"noted\n")
        return pid

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

    def stop(self, patience: float | None = None) -> bool:
        """Ask it and its children to end, and kill them after their patience; True if it ran."""
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
        _, alive = psutil.wait_procs(family, timeout=self.patience if patience is None else patience)
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


def prefect_headers() -> dict[str, str]:
    """What tells a Prefect server who asks, by the same settings and in the same order as Prefect's own client."""
    if words := os.environ.get("PREFECT_API_AUTH_STRING"):
        return {"Authorization": f"Basic {base64.b64encode(words.encode()).decode()}"}
    if key := os.environ.get("PREFECT_API_KEY"):
        return {"Authorization": f"Bearer {key}"}
    return {}


def require_access(prefect_url: str) -> None:
    """Raise ServiceError if the Prefect server wants to know who asks, and does not know us."""
    found = get(f"{prefect_url}/admin/version", headers=prefect_headers())
    if found is not None and found[0] == 401:
        raise ServiceError(no_access(prefect_url))


def no_access(prefect_url: str) -> str:
    """What to do about a Prefect server that does not let us in."""
    given = os.environ.get("PREFECT_API_AUTH_STRING") or os.environ.get("PREFECT_API_KEY")
    return (
        f"The Prefect server at {prefect_url} {'refuses our' if given else 'asks for a'} password: set"
        " PREFECT_API_AUTH_STRING to the one that its PREFECT_SERVER_API_AUTH_STRING names."
    )


def use_temporary_folder(settings: Settings, name: str) -> None:
    """Keep temporary files of this process and its children in the state folder."""
    if not Path(os.environ.get("TMPDIR", "")).is_relative_to(settings.state / "tmp"):
        os.environ["TMPDIR"] = str(temporary_folder(settings.state, name))
        # It is looked up once.
        tempfile.tempdir = None
