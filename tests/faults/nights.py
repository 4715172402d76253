"""Nights as real processes that can be watched from outside, frozen and killed.

A child of a fork server runs the `creditlens nightly` command with its own connections; the server has imported
everything and started nothing, which saves each night the seconds that imports take.
"""

from __future__ import annotations

import functools
import json
import mmap
import multiprocessing
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

# Names of variables that say what is whose.
OURS = ("CREDITLENS_", "PREFECT_", "DATABASE_URL")
# Stages that no session of the database shows; the child notes in a shared page which of them it is in.
NOTED = ("check", "score", "explain", "similar")
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["pytest", "tests.faults.nights", "tests.faults.preloaded"])


def noting(page: mmap.mmap, stage: str, work: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, with a byte of the page set while it runs."""
    place = NOTED.index(stage)

    @functools.wraps(work)
    def noted(*arguments: Any, **options: Any) -> Any:
        page[place] = 1
        try:
            return work(*arguments, **options)
        finally:
            page[place] = 0

    return noted


def note_stages(path: str) -> None:
    """Have the pure stages noted in the page that is the file at `path`."""
    from flows.steps import chunks
    from flows.steps.run_similar import RunSimilar
    from scoring.explanation.treeshap import TreeShap

    with open(path, "r+b") as file:
        page = mmap.mmap(file.fileno(), len(NOTED))
    chunks.check_chunk = noting(page, "check", chunks.check_chunk)
    chunks.score_batch = noting(page, "score", chunks.score_batch)
    TreeShap.explain = noting(page, "explain", TreeShap.explain)  # type: ignore[method-assign]
    RunSimilar.neighbourhoods = noting(page, "similar", RunSimilar.neighbourhoods)  # type: ignore[method-assign]


def note_peak(path: str) -> None:
    """Write down the most memory that this process has held, in KiB."""
    Path(path).write_text(str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))


def command(
    arguments: list[str], environment: Mapping[str, str], files: Mapping[str, str], limits: Mapping[str, int]
) -> None:
    """What the child runs: the real command, its output in files."""
    os.setsid()
    # Whatever the fork server was started with belongs to the test that was first.
    for name in [name for name in os.environ if name.startswith(OURS)]:
        del os.environ[name]
    # Under nohup, the tests ignore it, and so would the command.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    os.environ.update(environment)
    for descriptor, name in ((1, "output"), (2, "errors")):
        os.dup2(os.open(files[name], os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), descriptor)
    note_stages(files["stages"])
    for name, limit in limits.items():
        resource.setrlimit(getattr(resource, name), (limit, limit))
    from flows.cli.main import main

    sys.argv = ["creditlens", *arguments]
    try:
        main()
    finally:
        note_peak(files["peak"])


@dataclass
class Night:
    """One `creditlens` command under way in a process of its own."""

    process: BaseProcess
    folder: Path
    started: float = field(default_factory=time.monotonic)

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    @property
    def running(self) -> bool:
        return self.process.is_alive()

    def freeze(self) -> bool:
        """Stop it where it is; False if it has ended."""
        status = Path(f"/proc/{self.pid}/status")
        try:
            os.kill(self.pid, signal.SIGSTOP)
            while "State:\tT" not in (found := status.read_text()):
                if "State:\tZ" in found:
                    return False
        except (ProcessLookupError, FileNotFoundError):
            return False
        return True

    @property
    def noted(self) -> set[str]:
        """Which of the pure stages it is in."""
        page = (self.folder / "stages").read_bytes()
        noted = {stage for stage, running in zip(NOTED, page, strict=True) if running}
        # Explaining is a part of scoring.
        return noted - {"score"} if "explain" in noted else noted

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        self.process.join(30)
        assert self.process.exitcode == -signal.SIGKILL

    def wait(self, seconds: float = 120) -> int:
        """Its exit code."""
        self.process.join(seconds)
        assert self.process.exitcode is not None, f"It does not end: {self.errors}"
        return self.process.exitcode

    @property
    def output(self) -> str:
        return (self.folder / "output").read_text()

    @property
    def errors(self) -> str:
        return (self.folder / "errors").read_text()

    @property
    def answer(self) -> dict[str, object]:
        """What it said to programs."""
        return json.loads(self.output.splitlines()[-1])

    @property
    def peak_mb(self) -> float:
        """The most memory it has held, in MB; known when it has ended by itself."""
        return int((self.folder / "peak").read_text()) / 1024


def start(
    *arguments: str,
    folder: Path,
    environment: Mapping[str, str],
    limits: Mapping[str, int] | None = None,
) -> Night:
    """Start `creditlens <arguments>` in a child of the fork server; `limits` are names of RLIMITs and values."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {name: str(folder / name) for name in ("output", "errors", "stages", "peak")}
    for name in files.values():
        Path(name).write_text("")
    Path(files["stages"]).write_bytes(bytes(len(NOTED)))
    process = _context.Process(target=command, args=(list(arguments), dict(environment), files, limits or {}))
    process.start()
    return Night(process, folder)
