"""Progress of long work: a bar with rate and time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

log = logging.getLogger("creditlens")
SECONDS_BETWEEN_LINES = 5.0


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f}/s" if task.speed else "", justify="right")


_COLUMNS = (
    TextColumn("{task.description:<9}"),
    BarColumn(),
    MofNCompleteColumn(),
    _Rate(),
    TimeRemainingColumn(),
)


class Reporter:
    """Says how far a stage is; by default, with a plain line every few seconds."""

    def __init__(self) -> None:
        self._started: dict[str, float] = {}
        self._said: dict[str, float] = {}

    def update(self, stage: str, done: int, total: int) -> None:
        """`done` of `total` steps of `stage` are made."""
        now = time.monotonic()
        started = self._started.setdefault(stage, now)
        if done < total and now - self._said.setdefault(stage, now) < SECONDS_BETWEEN_LINES:
            return
        self._said[stage] = now
        elapsed = now - started
        rate = ""
        if done and elapsed > 1:
            speed = f"{done / elapsed:,.0f}/s" if done >= elapsed else f"{elapsed / done:,.0f} s each"
            rate = f", {speed}, {(total - done) * elapsed / done:,.0f} s left"
        log.info("%s: %s of %s%s", stage, f"{done:,}", f"{total:,}", rate)


class SilentReporter(Reporter):
    """Says nothing."""

    def update(self, stage: str, done: int, total: int) -> None:
        """Nothing."""


class TerminalReporter(Reporter):
    """A live bar per stage on standard error."""

    def __init__(self, progress: Progress) -> None:
        super().__init__()
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def update(self, stage: str, done: int, total: int) -> None:
        """Move the stage's bar."""
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(stage, total=total)
        self._progress.update(self._tasks[stage], completed=done, total=total)


_SILENT = SilentReporter()
_current: ContextVar[Reporter] = ContextVar("reporter", default=_SILENT)


def reporter() -> Reporter:
    """The reporter of the current command."""
    return _current.get()


@contextmanager
def replaced(other: Reporter) -> Iterator[None]:
    """Report to another reporter for the block, which may pass on to the one before."""
    token = _current.set(other)
    try:
        yield
    finally:
        _current.reset(token)


@contextmanager
def reporting(*, quiet: bool = False) -> Iterator[None]:
    """Report progress for the block: a bar on a terminal, lines elsewhere, nothing if `quiet`."""
    with ExitStack() as stack:
        chosen: Reporter
        if quiet:
            chosen = SilentReporter()
        elif sys.stderr.isatty():
            bars = Progress(*_COLUMNS, console=Console(stderr=True), transient=True)
            chosen = TerminalReporter(stack.enter_context(bars))
        else:
            chosen = Reporter()
        token = _current.set(chosen)
        stack.callback(_current.reset, token)
        yield
