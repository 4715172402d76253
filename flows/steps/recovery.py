"""What a night puts right before it begins, and what it leaves in order however it ends."""

from __future__ import annotations

import logging
import time
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
# A signal has the query under way cancelled, and the server may take that for the next query of the connection.
CLOSING_ATTEMPTS = 3
CLOSING_PAUSE_SECONDS = 0.3


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

    The caller holds the run lock: a run that is open belongs to the block, also one whose number it never got. A
    run that is published by then stays so, and a signal that ended the block says so.
    """
    opened = Opened()
    try:
        with signals.translated():
            yield opened
    except BaseException as error:
        if isinstance(error, signals.EndedBySignal):
            error.effect = "nothing was published"
        for attempt in range(1, CLOSING_ATTEMPTS + 1):
            try:
                _close(engine, opened, seconds, error)
                break
            except Exception:
                if attempt < CLOSING_ATTEMPTS:
                    time.sleep(CLOSING_PAUSE_SECONDS)
                    continue
                # The database may be what failed; the next run finds the row and closes it.
                log.warning("The run could not be closed in the ledger; the next run will do it.")
                if isinstance(error, signals.EndedBySignal):
                    error.effect = "`creditlens status` shows whether it had published"
        raise


def _close(engine: Engine, opened: Opened, seconds: dict[str, float], error: BaseException) -> None:
    run_id = opened.run_id or ledger.running(engine)
    if run_id is None:
        return
    closed = ledger.close_unpublished(
        engine,
        run_id,
        status="refused" if isinstance(error, ScoringError | applications.SourceError) else "failed",
        message=str(error) or type(error).__name__,
        stage_seconds=seconds,
    )
    if isinstance(error, signals.EndedBySignal) and not closed:
        error.done, error.effect = True, f"run {run_id} was published before"


@contextmanager
def scratch_removed(settings: Settings) -> Iterator[None]:
    """Remove unpacked copies of the input at the end, whatever happens."""
    try:
        yield
    finally:
        for leftover in (settings.state / "scratch").glob("*"):
            leftover.unlink(missing_ok=True)
