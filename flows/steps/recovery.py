"""What a night puts right before it begins, and what it leaves in order however it ends."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Engine

from db.runs import ledger
from flows import signals
from flows.files import applications
from flows.settings import Settings
from flows.steps.retries import io_task
from scoring.errors import ScoringError

log = logging.getLogger("creditlens")


@io_task
def recover(engine: Engine) -> None:
    """Put right what a killed run left."""
    orphans = ledger.recover(engine)
    if orphans:
        log.warning("Interrupted runs closed: %s", ", ".join(map(str, orphans)))


@dataclass(slots=True)
class Opened:
    """The run that a night has opened, once it knows."""

    run_id: int | None = None


@contextmanager
def closed_on_error(engine: Engine, seconds: dict[str, float]) -> Iterator[Opened]:
    """If the block fails, end its run in the ledger with the reason, and take its tables away.

    The caller holds the run lock: a run that is open belongs to the block, also one whose number it never got.
    """
    opened = Opened()
    try:
        with signals.translated():
            yield opened
    except BaseException as error:
        refused = isinstance(error, ScoringError | applications.SourceError)
        if isinstance(error, signals.EndedBySignal):
            error.effect = "nothing was published"
        message = str(error) or type(error).__name__
        try:
            run_id = opened.run_id or ledger.running(engine)
            if run_id is not None:
                closed = ledger.close_unpublished(
                    engine,
                    run_id,
                    status="refused" if refused else "failed",
                    message=message,
                    stage_seconds=seconds,
                )
                if isinstance(error, signals.EndedBySignal) and not closed:
                    _note_published(error, run_id)
        except Exception:
            # The database may be what failed; the next run finds the row and closes it.
            log.warning("The run could not be closed in the ledger; the next run will do it.")
        raise


@contextmanager
def published_before(run_id: int) -> Iterator[None]:
    """A signal that ends the block ends a night that has published."""
    try:
        with signals.translated():
            yield
    except signals.EndedBySignal as error:
        _note_published(error, run_id)
        raise


def _note_published(error: signals.EndedBySignal, run_id: int) -> None:
    error.done, error.effect = True, f"run {run_id} was published before"


@contextmanager
def scratch_removed(settings: Settings) -> Iterator[None]:
    """Remove unpacked copies of the input at the end, whatever happens."""
    try:
        yield
    finally:
        for leftover in (settings.state / "scratch").glob("*"):
            leftover.unlink(missing_ok=True)
