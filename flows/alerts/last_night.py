"""How the last night ended, kept beside the database so that it is known when the database is what failed.

Whoever is named in the settings is told when a night fails or is refused; of one that does not end at all, a watch
tells (flows.operations.watch). That telling somebody fails is logged and never hides why the night did.
"""

from __future__ import annotations

import json
import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from db.errors import BusyError, RefusedError
from flows import clock, signals
from flows.alerts import notify
from flows.files import applications
from flows.installation import atomic
from flows.settings import Settings, SettingsError
from flows.signals import EndedBySignal
from scoring.errors import ScoringError

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

log = logging.getLogger("creditlens")
FILE = "night.json"

_CLOCKS_DIFFER = timedelta(minutes=5)
# The errors that an inner one of several blocks has accounted for: a command's block is around the flow's.
_accounted_for: ContextVar[list[BaseException] | None] = ContextVar("accounted_for", default=None)


@dataclass(frozen=True, slots=True)
class LastNight:
    """How the last night ended: "ended", which is well, "refused" or "failed", and why."""

    ended_at: str
    outcome: str
    message: str | None

    @property
    def ended(self) -> datetime:
        """When; of a time that is still to come, what hides no failure.

        A clock that was wrong noted it. A good night then says nothing of what came before it or after it, and a
        bad one stays until another night has ended.
        """
        if not self.is_in_the_future:
            return datetime.fromisoformat(self.ended_at)
        return datetime.min.replace(tzinfo=UTC) if self.good else datetime.now(UTC)

    @property
    def is_in_the_future(self) -> bool:
        """Whether it was noted by a clock that was wrong."""
        return datetime.fromisoformat(self.ended_at) > datetime.now(UTC) + _CLOCKS_DIFFER

    @property
    def good(self) -> bool:
        """Whether it published, or found nothing new to publish."""
        return self.outcome == "ended"


@contextmanager
def accounted(settings: Settings) -> Iterator[None]:
    """Note how the block, a night, ended; tell whoever wants to know if it was not well. Errors pass.

    A night that found another one under way is none. An error that passes several of these is told once. A night
    that a signal ended failed, unless it had published; who pressed Ctrl+C need not be told.
    """
    outer = _accounted_for.get()
    known: list[BaseException] = [] if outer is None else outer
    reset = _accounted_for.set(known)
    try:
        with signals.translated():
            yield
    except BusyError:
        raise
    except (Exception, EndedBySignal) as error:
        if not any(error is one for one in known):
            known.append(error)
            _account_for(settings, error)
        raise
    else:
        _note(settings, "ended", None)
    finally:
        _accounted_for.reset(reset)


def _account_for(settings: Settings, error: Exception | EndedBySignal) -> None:
    if isinstance(error, EndedBySignal):
        if error.done:
            _note(settings, "ended", None)
            return
        error.effect = error.effect or "nothing was published"
    outcome, message = outcome_of(error)
    _note(settings, outcome, message)
    if not (isinstance(error, EndedBySignal) and error.number == signal.SIGINT):
        notify.tell(settings, f"night_{outcome}", message)


def outcome_of(error: BaseException) -> tuple[str, str]:
    """How a night ended that raised this error, "refused" or "failed", and why in a line."""
    refused = isinstance(error, ScoringError | applications.SourceError | SettingsError | RefusedError)
    return "refused" if refused else "failed", (str(error).strip() or type(error).__name__).splitlines()[0]


def last(settings: Settings) -> LastNight | None:
    """How the last night ended, None if it is not known."""
    try:
        night = LastNight(**json.loads((settings.state / FILE).read_text()))
        datetime.fromisoformat(night.ended_at).astimezone(UTC)
        return night if isinstance(night.outcome, str) else None
    except (OSError, ValueError, TypeError):
        return None


def damaged(settings: Settings) -> bool:
    """Whether how the last night ended was noted, and the note cannot be read."""
    return (settings.state / FILE).exists() and last(settings) is None


def date_of(settings: Settings) -> date:
    """The date that the scores of the night that runs here are of, in the lender's time zone.

    A night that the clock started has the date of the last night that was due: one that begins late, after midnight
    for one, is still that evening's, and of several missed ones that are caught up all have the date of the last.
    One that somebody started has the date of today.
    """
    run = _run_of_the_clock()
    if run is None:
        return settings.today()
    # Prefect may prepare a night some seconds before it is due. Its times are of a class of their own.
    planned = run.expected_start_time.timestamp() if run.expected_start_time else 0.0
    moment = max(datetime.now(UTC), datetime.fromtimestamp(planned, UTC))
    due = clock.last_night(settings.cron, settings.time_zone, moment)
    return due.date if due else settings.today()


def started_by_the_clock() -> bool:
    """Whether the schedule started the night that runs here."""
    return _run_of_the_clock() is not None


def _run_of_the_clock() -> FlowRun | None:
    from prefect.context import FlowRunContext

    context = FlowRunContext.get()
    run = context.flow_run if context else None
    return run if run is not None and run.auto_scheduled else None


def state_if_cancelled(error: EndedBySignal) -> Any:
    """The state that a night has in Prefect if somebody cancelled it there, None if something else ended it.

    Prefect sends the signal and would call the night crashed: it cannot tell its own signal from another's where
    handlers other than its own are in place.
    """
    from prefect.client.orchestration import get_client
    from prefect.context import FlowRunContext
    from prefect.states import Cancelled

    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return None
    try:
        with get_client(sync_client=True) as client:
            state = client.read_flow_run(context.flow_run.id).state
    except Exception:
        # The server may be what is being stopped; then nobody will ask it either.
        return None
    return Cancelled(message=str(error)) if state is not None and state.is_cancelling() else None


def _note(settings: Settings, outcome: str, message: str | None) -> None:
    night = LastNight(datetime.now(UTC).isoformat(), outcome, message)
    path = settings.state / FILE
    try:
        settings.state.mkdir(parents=True, exist_ok=True)
        atomic.write(path, json.dumps(asdict(night)))
    except OSError as error:
        log.warning("How the night ended could not be noted in %s: %s", path, error)
