"""Podman and docker-compose, in a folder of their own, so that nothing of a trial stays on the machine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]
PROGRAMS = ("podman", "runc", "conmon", "debootstrap", "docker-compose", "openssl")
PACKAGES = "podman runc conmon netavark aardvark-dns iptables debootstrap docker-compose openssl"
HEARTBEAT_SECONDS = 2.0
CONFIGURATION = """\
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
[network]
network_config_dir = "{folder}/networks"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
tmp_dir = "{folder}/run/libpod"
volume_path = "{folder}/volumes"
"""
STORAGE = """\
[storage]
driver = "overlay"
graphroot = "{images}"
runroot = "{folder}/run/storage"
"""


class EngineError(Exception):
    """Containers cannot be run here, or one of the programs failed; the message says which and why."""


def missing() -> list[str]:
    """What this machine lacks to run containers, each in a sentence with the way out."""
    found = []
    if os.geteuid() != 0:
        found.append("Only root may make the base images and run containers here; run it as root.")
    lacking = [name for name in PROGRAMS if shutil.which(name) is None]
    if lacking:
        found.append(f"Not installed: {', '.join(lacking)} (Debian: apt-get install {PACKAGES}).")
    return found


class Engine:
    """One podman with its own images, volumes and networks, and the socket that docker-compose speaks to.

    Parameters
    ----------
    folder: everything but images is kept in it.
    images: the folder of images.
    project: what docker-compose calls everything that it makes.
    """

    def __init__(self, folder: Path, images: Path, project: str) -> None:
        self.folder, self.project = folder, project
        self._ending = threading.RLock()
        (folder / "containers.conf").write_text(CONFIGURATION.format(folder=folder))
        (folder / "storage.conf").write_text(STORAGE.format(folder=folder, images=images))
        self._environment = {
            **os.environ,
            "CONTAINERS_CONF": str(folder / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
            # Without systemd nothing would start health checks: `heartbeat` does.
            "DISABLE_HC_SYSTEMD": "true",
            "TMPDIR": str(folder),
        }

    def podman(self, *words: str | Path, quiet: bool = True, **environment: str) -> str:
        """What podman prints. Raises EngineError with what it says if it fails."""
        command = ["podman", *map(str, words)]
        done = subprocess.run(
            command, env={**self._environment, **environment}, cwd=PROJECT, text=True, check=False,
            stdout=subprocess.PIPE if quiet else None, stderr=subprocess.PIPE if quiet else None,
        )  # fmt: skip
        if done.returncode:
            said = (done.stderr or done.stdout or "").strip()[-2_000:]
            raise EngineError(f"podman {' '.join(command[1:4])}: {said or f'exit code {done.returncode}'}")
        return done.stdout or ""

    @contextmanager
    def served(self, **environment: str) -> Iterator[None]:
        """Podman's socket, and the clock of health checks, for a block.

        Parameters
        ----------
        environment: what docker-compose.yml is to know.
        """
        socket = self.folder / "podman.sock"
        self._compose = {**self._environment, **environment, "DOCKER_HOST": f"unix://{socket}"}
        with (self.folder / "podman.log").open("w") as log:
            command = ["podman", "system", "service", "--time", "0", f"unix://{socket}"]
            service = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)
        stop = threading.Event()
        clock = threading.Thread(target=self._heartbeat, args=(stop,))
        try:
            wait_for(socket.exists, 20, "podman's socket")
            clock.start()
            yield
        finally:
            stop.set()
            if clock.ident is not None:
                clock.join()
            service.terminate()
            service.wait(30)

    def _heartbeat(self, stop: threading.Event) -> None:
        """Ask each container that can be asked how it is, again and again: elsewhere systemd does.

        And tidy up after each that has ended, upon which podman starts it anew where it is to: whoever does so
        elsewhere does not know the folder of images.
        """
        while not stop.wait(HEARTBEAT_SECONDS):
            ended = self.podman("ps", "--all", "--filter", "status=stopped", "--format", "{{.Names}}")
            for name in ended.split():
                # Who stops a container notes only afterwards that it is not to start anew.
                with self._ending, suppress(EngineError):
                    self.podman("container", "cleanup", name)
            for name in self.running():
                try:
                    subprocess.run(
                        ["podman", "healthcheck", "run", name], env=self._environment, timeout=60, check=False,
                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                    )  # fmt: skip
                except subprocess.TimeoutExpired:
                    continue

    def stop(self, service: str, seconds: int) -> None:
        """Ask a service's container to end, and kill it after so many seconds."""
        with self._ending:
            self.podman("stop", "--time", str(seconds), self.container(service))

    def running(self) -> list[str]:
        """The names of the containers that run."""
        return self.podman("ps", "--format", "{{.Names}}").split()

    def compose(self, *words: str, seconds: float = 1_800) -> str:
        """What docker-compose prints, standard error too. Raises EngineError if it fails."""
        command = ["docker-compose", "--project-name", self.project, *words]
        with self._ending if words[0] in {"stop", "down"} else nullcontext():
            done = subprocess.run(
                command, env=self._compose, cwd=PROJECT, text=True, check=False, timeout=seconds,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )  # fmt: skip
        if done.returncode:
            raise EngineError(f"docker-compose {' '.join(words)}: {done.stdout.strip()[-3_000:]}")
        return done.stdout

    def container(self, service: str) -> str:
        """The name of a service's container."""
        names = self.podman("ps", "--all", "--format", "{{.Names}}").split()
        return next(name for name in names if name.replace("-", "_") == f"{self.project}_{service}_1")

    def state(self, service: str) -> dict[str, Any]:
        """What podman knows of a service's container: Status, Pid, ExitCode, Health."""
        found: list[dict[str, Any]] = json.loads(self.podman("inspect", self.container(service)))
        return dict(found[0]["State"])

    def health(self, service: str) -> str:
        """`healthy`, `unhealthy` or `starting`; without a check, whether it is running or exited."""
        state = self.state(service)
        health = (state.get("Health") or state.get("Healthcheck") or {}).get("Status")
        return str(health or state["Status"]) if state["Status"] == "running" else str(state["Status"])

    def inside(self, service: str, *command: str) -> str:
        """What a command prints in a service's container."""
        return self.podman("exec", self.container(service), *command)

    def remove_everything(self) -> None:
        """Containers, networks and volumes of the trial."""
        for words in (
            ("rm", "--all", "--force", "--time", "10"),
            ("network", "prune", "--force"),
            ("volume", "prune", "--force"),
        ):
            self.podman(*words)

    def left(self) -> Mapping[str, Sequence[str]]:
        """What is still there of containers, volumes and networks, by kind."""
        return {
            "containers": self.podman("ps", "--all", "--format", "{{.Names}}").split(),
            "volumes": self.podman("volume", "ls", "--quiet").split(),
            "networks": [name for name in self.podman("network", "ls", "--quiet").split() if name != "podman"],
        }


def wait_for(happened: Any, seconds: float, what: str, every: float = 0.5) -> float:
    """Wait until `happened()` is true; the seconds that it took. Raises EngineError after `seconds`."""
    started = time.monotonic()
    while not happened():
        if time.monotonic() - started > seconds:
            raise EngineError(f"Waited {seconds:.0f} s in vain for {what}.")
        time.sleep(every)
    return time.monotonic() - started
