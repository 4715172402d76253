"""Being ended by a signal: what is under way is put right and told like any failure, instead of being cut off.

Whoever stops a service, shuts a machine down or closes a terminal sends SIGTERM or SIGHUP, which end a Python
program without another word. Here the first of them (or Ctrl+C) raises an error, so that transactions are rolled
back and the ledger is closed; a second one ends the process at once.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any

# What Prefect raises in a flow that is asked to end; by its name, as importing it takes long.
PREFECTS = ("prefect.exceptions", "TerminationSignal")
_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


class EndedBySignal(KeyboardInterrupt):
    """The process was asked to end.

    It is a KeyboardInterrupt because psycopg then cancels the query under way, and because no handler of errors and
    no retry of a task takes it for a failure of its own.

    Attributes
    ----------
    effect: what became of the work, as the end of a sentence.
    done: whether the work was done before the signal came.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = signal.Signals(number)
        self.effect: str | None = None
        self.done = False

    def __str__(self) -> str:
        what = "Interrupted" if self.number == signal.SIGINT else f"Ended by {self.number.name}"
        return f"{what}; {self.effect or 'what was under way is not done'}."


_ending: int | None = None


@contextmanager
def raised() -> Iterator[None]:
    """Raise EndedBySignal in the block on the first signal; a second one ends the process at once.

    Signals that are ignored stay so, as `nohup` wants it. Outside of the main thread it does nothing: signals are
    the main thread's.
    """
    global _ending
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    # One that is not Python's own cannot be put back.
    taken = {number: handler for number, handler in before.items() if handler not in (signal.SIG_IGN, None)}
    if _end not in taken.values():
        _ending = None
    for number in taken:
        signal.signal(number, _end)
    hook = sys.unraisablehook
    sys.unraisablehook = partial(_not_lost, hook)
    try:
        with translated():
            yield
    finally:
        sys.unraisablehook = hook
        for number, handler in taken.items():
            signal.signal(number, handler)


def _end(number: int, _frame: FrameType | None) -> None:
    global _ending
    if _ending is not None:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        return
    _ending = number
    raise EndedBySignal(number)


def _not_lost(hook: Callable[[Any], object], failed: Any) -> None:
    """Raise the error a moment later if it hit code that can raise none, such as a callback of the collector."""
    global _ending
    error = failed.exc_value
    if isinstance(error, EndedBySignal):
        _ending, number = None, int(error.number)
    elif (type(error).__module__, type(error).__name__) == PREFECTS:
        number = int(error.signal)
    else:
        hook(failed)
        return
    threading.Timer(0.01, os.kill, (os.getpid(), number)).start()


def asked() -> bool:
    """Whether a signal has asked for an end."""
    return _ending is not None


def check() -> None:
    """Raise EndedBySignal if a signal has asked for an end: some libraries swallow what is raised in them."""
    if _ending is not None:
        raise EndedBySignal(_ending)


@contextmanager
def translated() -> Iterator[None]:
    """An error that leaves the block after a signal is its consequence: some libraries wrap what hits them."""
    try:
        yield
    except Exception as error:
        if _ending is not None:
            raise EndedBySignal(_ending) from error
        raise


@contextmanager
def stopping(process: subprocess.Popen[Any]) -> Iterator[None]:
    """End another process if a signal ends the block: it would go on, or be waited for."""
    try:
        yield
    except EndedBySignal:
        process.terminate()
        raise


@contextmanager
def leaving(effect: str) -> Iterator[None]:
    """Say what became of the work if a signal ends the block; the innermost block knows best."""
    try:
        with translated():
            yield
    except EndedBySignal as error:
        error.effect = error.effect or effect
        raise


class Work:
    """What is under way, and whether it is done: a signal that comes then takes nothing back."""

    def __init__(self) -> None:
        self._effect: str | None = None

    def is_done(self, effect: str) -> None:
        """Note that it is, and what became of it, as the end of a sentence."""
        self._effect = effect

    @contextmanager
    def known(self) -> Iterator[None]:
        """Say on the error of a signal that leaves the block whether the work was done by then."""
        try:
            with translated():
                yield
        except EndedBySignal as error:
            if self._effect is not None:
                error.done, error.effect = True, self._effect
            raise
