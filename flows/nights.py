"""How the last night ended, kept beside the database so that it is known when the database is what failed.

Whoever is named in the settings is told when a night fails or is refused, and by a watch in the schedule's process
when none has ended at all. That telling somebody fails is logged and never hides why the night did.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from db import runs
from db.errors import BusyError
from flows import notify, services, sources
from flows.settings import Settings
from scoring.errors import ScoringError

log = logging.getLogger("creditlens")
LONGEST_WAIT_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class LastNight:
    """How the last night ended: "ended", which is well, "refused" or "failed", and why."""

    ended_at: str
    outcome: str
    message: str | None

    @property
    def ended(self) -> datetime:
        """When."""
        return datetime.fromisoformat(self.ended_at)

    @property
    def good(self) -> bool:
        """Whether it published, or found nothing new to publish."""
        return self.outcome == "ended"


@contextmanager
def accounted(settings: Settings) -> Iterator[None]:
    """Note how the block, a night, ended; tell whoever wants to know if it was not well. Errors pass.

    A night that found another one under way is none. An error that passes several of these is told once.
    """
    try:
        yield
    except BusyError:
        raise
    except Exception as error:
        if not getattr(error, "told", False):
            refused = isinstance(error, ScoringError | sources.SourceError)
            outcome = "refused" if refused else "failed"
            message = (str(error).strip() or type(error).__name__).splitlines()[0]
            error.told = True  # type: ignore[attr-defined]
            _note(settings, outcome, message)
            notify.tell(settings, f"night_{outcome}", message)
        raise
    else:
        _note(settings, "ended", None)


def last(settings: Settings) -> LastNight | None:
    """How the last night ended, None if it is not known."""
    try:
        return LastNight(**json.loads((settings.state / "night.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _note(settings: Settings, outcome: str, message: str | None) -> None:
    night = LastNight(datetime.now(UTC).isoformat(), outcome, message)
    path = settings.state / "night.json"
    try:
        settings.state.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(asdict(night)))
        partial.replace(path)
    except OSError as error:
        log.warning("How the night ended could not be noted in %s: %s", path, error)


# --- missing nights -------------------------------------------------------------------------------------------


def next_due(settings: Settings, after: datetime) -> datetime:
    """When the schedule's next night begins."""
    from prefect.server.schemas.schedules import CronSchedule

    schedule = CronSchedule(cron=settings.cron, timezone=settings.time_zone)
    # The first date may be `after` itself.
    dates = asyncio.run(schedule.get_dates(2, start=after))
    return next(date for date in dates if date > after)


def require_ended(settings: Settings, due: datetime) -> bool:
    """Whether a night has ended since `due`; tell whoever wants to know if none has."""
    night = last(settings)
    if night is not None and datetime.fromisoformat(night.ended_at) >= due:
        return True
    said = "The ledger could not be read."
    try:
        with services.database(settings) as engine:
            run = runs.latest(engine)
        if run is not None and run.started_at >= due and run.status != "running":
            return True
        said = "There is no run in the ledger."
        if run is not None:
            said = f"The last run in the ledger is {run.run_id} of {run.as_of}: {run.status}."
    except Exception as error:
        said += f" {type(error).__name__}: {error}".splitlines()[0]
    notify.tell(settings, "night_missing", f"No night has ended since {due:%Y-%m-%d %H:%M %Z}. {said}")
    return False


def watch(
    settings: Settings,
    stop: threading.Event,
    *,
    due_after: Callable[[Settings, datetime], datetime] = next_due,
) -> None:
    """Until `stop` is set, look some time after each night was due whether one has ended."""
    grace = timedelta(minutes=settings.night_grace_minutes)
    due = due_after(settings, datetime.now(UTC))
    while True:
        remaining = (due + grace - datetime.now(UTC)).total_seconds()
        if remaining > 0:
            # Not all at once: a computer that sleeps stops this clock, not the calendar.
            if stop.wait(min(remaining, LONGEST_WAIT_SECONDS)):
                return
            continue
        require_ended(settings, due)
        # Nights that passed while it slept are one message, not one each.
        due = due_after(settings, max(due, datetime.now(UTC) - grace))


def start_watch(settings: Settings) -> threading.Event:
    """`watch` in a thread of its own; the event that ends it."""
    stop = threading.Event()
    threading.Thread(target=watch, args=(settings, stop), name="watch", daemon=True).start()
    return stop
