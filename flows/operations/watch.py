"""The watch: a process of its own that tells when a night is missing, and when none will start any more.

It is apart from the schedule, whose death it is to notice. It looks at what the schedule's process leaves in the
state folder and at what Prefect says of the deployment, so that either may be in another container.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from db.runs import ledger
from flows import clock
from flows.alerts import last_night, notify
from flows.operations import schedule as scheduling
from flows.services import database, log_errors, prefect
from flows.services.prefect import prefect_environment
from flows.services.processes import Background
from flows.settings import Settings

log = logging.getLogger("creditlens")
LOOK_SECONDS = 10.0
# A Prefect server that is started again, or a computer that wakes up, puts itself right within a minute.
LOOKS: Mapping[scheduling.State, int] = {"stopped": 1}
USUAL_LOOKS = 6


def watch_service(settings: Settings) -> Background:
    """The background process that watches."""
    return Background("watch", settings.state)


def start_watch(settings: Settings) -> None:
    """Watch in the background with these settings, in the place of one that runs; not if nobody is to be told."""
    service = watch_service(settings)
    service.stop()
    if settings.notify_url is not None or settings.notify_email is not None:
        service.start([sys.executable, "-m", "flows.cli", "watch"], prefect_environment(settings))


def run(settings: Settings) -> None:
    """`watch` until the process is ended."""
    for name, value in prefect_environment(settings).items():
        os.environ.setdefault(name, value)
    if settings.notify_url is None and settings.notify_email is None:
        log.warning("CREDITLENS_NOTIFY_URL and CREDITLENS_NOTIFY_EMAIL name nobody: what is found is only logged.")
    log.info("Watching the nights of %r, %s time, and the schedule.", settings.cron, settings.time_zone)
    watch(settings, threading.Event())


def watch(
    settings: Settings,
    stop: threading.Event,
    *,
    due_after: Callable[[Settings, datetime], datetime] | None = None,
    seconds: float = LOOK_SECONDS,
) -> None:
    """Until `stop` is set, look every so many seconds at the schedule, and whether nights end that were due."""
    due_after = due_after or next_due
    grace = timedelta(minutes=settings.night_grace_minutes)
    # One that was due before this process began is still to be looked at, if it may still end.
    due = due_after(settings, datetime.now(UTC) - grace)
    schedule, errors = ScheduleWatch(settings), ErrorWatch(settings)
    while not stop.wait(seconds):
        try:
            if datetime.now(UTC) >= due + grace:
                require_ended(settings, due)
                # Nights that passed while it slept are one message, not one each.
                due = due_after(settings, max(due, datetime.now(UTC) - grace))
            schedule.look()
            errors.look()
        except Exception as error:
            # Whatever it was, who watches must not end.
            log.warning("Could not look: %s: %s", type(error).__name__, error)


# --- the schedule ---------------------------------------------------------------------------------------------


class ScheduleWatch:
    """Tells once that no night will start, and again only after all was well or something else is wrong."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._state: scheduling.State = "active"
        self._looks = 0

    def look(self) -> None:
        """Look once."""
        standing = scheduling.standing(self._settings, prefect.prefect_url(self._settings))
        if standing.state == "unknown":
            return
        self._looks = self._looks + 1 if standing.state == self._state else 1
        self._state = standing.state
        if standing.problem and self._looks == LOOKS.get(standing.state, USUAL_LOOKS):
            log.warning("%s", standing.problem)
            event = "schedule_different" if standing.state == "different" else "schedule_down"
            notify.tell(self._settings, event, standing.problem)


class ErrorWatch:
    """Tells once of each service whose log has errors, and again only after it had none.

    What the errors say is not told: it may be about a customer, and e-mails travel far.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._seen: object = None
        self._told: set[str] = set()

    def look(self) -> None:
        """Look once, if there is anything new."""
        size = [(path, path.stat().st_size) for path in log_errors.logs(self._settings).values() if path.exists()]
        if (seen := (size, datetime.now(UTC).hour)) == self._seen:
            return
        self._seen = seen
        found = {one.service: one for one in log_errors.look(self._settings)}
        self._told &= set(found)
        for service, one in found.items():
            if service not in self._told:
                message = f"{one.counted} See `creditlens status` and {one.log}."
                log.warning("%s", message)
                notify.tell(self._settings, "service_errors", message)
        self._told |= set(found)


# --- missing nights -------------------------------------------------------------------------------------------


def next_due(settings: Settings, after: datetime) -> datetime:
    """When the schedule's next night begins."""
    night = clock.next_night(settings.cron, settings.time_zone, after)
    return night.local if night else datetime.max.replace(tzinfo=UTC)


def require_ended(settings: Settings, due: datetime) -> bool:
    """Whether a night has ended since `due`; tell whoever wants to know if none has."""
    night = last_night.last(settings)
    if night is not None and night.ended >= due:
        return True
    said = "The ledger could not be read."
    try:
        with database.database(settings) as engine:
            run = ledger.latest(engine)
        if run is not None and run.started_at >= due and run.status != "running":
            return True
        said = "There is no run in the ledger."
        if run is not None:
            said = f"The last run in the ledger is {run.run_id} of {run.as_of}: {run.status}."
    except Exception as error:
        said += f" {type(error).__name__}: {error}".splitlines()[0]
    message = f"No night has ended since {due:%Y-%m-%d %H:%M %Z}. {said}"
    log.warning("%s", message)
    notify.tell(settings, "night_missing", message)
    return False
