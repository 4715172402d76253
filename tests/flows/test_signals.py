"""A signal that arrives where nothing can be raised is raised a moment later."""

from __future__ import annotations

import os
import signal
import sys
import time
import weakref

import pytest

from flows import signals


class Thing:
    """Something that somebody watches the end of."""


def test_a_signal_that_arrives_in_a_callback_of_the_collector_is_not_lost() -> None:
    """Python prints what is raised there and goes on; SQLAlchemy has such callbacks, and runs them often."""

    def ended(_: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.01)

    def work() -> None:
        thing: Thing | None = Thing()
        watched = weakref.ref(thing, ended)
        with signals.raised():
            thing = None
            assert watched() is None
            time.sleep(2)

    with pytest.raises(signals.EndedBySignal, match="SIGTERM"):
        work()


def test_the_same_while_a_flow_runs_whose_signals_are_prefects() -> None:
    from prefect.utilities.engine import capture_sigterm

    def ended(_: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.01)

    def work() -> None:
        thing: Thing | None = Thing()
        watched = weakref.ref(thing, ended)
        with signals.raised(), capture_sigterm():
            thing = None
            assert watched() is None
            time.sleep(2)

    with pytest.raises(signals.EndedBySignal, match="SIGTERM"):
        work()


def test_what_else_nobody_can_catch_is_still_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise ValueError("in a callback")

    told: list[str] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda failed: told.append(str(failed.exc_value)))
    thing: Thing | None = Thing()
    watched = weakref.ref(thing, fail)
    with signals.raised():
        thing = None
    assert watched() is None
    assert told == ["in a callback"]
