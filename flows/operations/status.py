"""What monitors and operators ask: what is published, how old it is, what runs, how long the disk lasts."""

from __future__ import annotations

import math
import shutil
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine

from db import schema
from db.errors import DatabaseError
from db.runs import ledger, pointer, sizes
from flows.alerts import last_night
from flows.installation import program
from flows.operations import schedule as scheduling
from flows.operations import watch as watching
from flows.services import database, listening, log_errors, superset
from flows.services import prefect as prefect_service
from flows.settings import Settings
from flows.steps import night_date, night_size

# The next night needs room for its own partitions before the oldest ones go.
MINIMUM_NIGHTS_OF_ROOM = 2
_WENT_WRONG = {"refused": "was refused", "failed": "failed"}


@dataclass(frozen=True, slots=True)
class Growth:
    """Sizes in bytes, and how long they may go on growing at one run a day.

    Attributes
    ----------
    database_bytes: the whole database.
    run_bytes: details of one retained run, None before the first.
    retained_runs: runs whose details are there.
    daily_bytes: what a night adds once the retention is full: scores are kept for ever.
    free_bytes, days_until_full: of the disk of the embedded server; None for a server elsewhere, or too far away
        to say.
    """

    database_bytes: int
    run_bytes: int | None
    retained_runs: int
    daily_bytes: int | None
    free_bytes: int | None
    days_until_full: int | None


def growth(settings: Settings, engine: Engine) -> Growth:
    """How big the database is and how fast it grows."""
    size = sizes.sizes(engine)
    free = None
    if settings.database_url is None:
        free = shutil.disk_usage((settings.state / "postgres").resolve()).free
    days = None
    if free is not None and size.run_bytes:
        days = days_until_full(
            free,
            run_bytes=size.run_bytes,
            daily_bytes=size.daily_bytes or 0,
            missing_runs=max(0, settings.retained_runs - size.retained_runs),
        )
    return Growth(size.database_bytes, size.run_bytes, size.retained_runs, size.daily_bytes, free, days)


def days_until_full(free: int, *, run_bytes: int, daily_bytes: int, missing_runs: int) -> int | None:
    """Nights that fit on the disk at one a day; None if it is never full.

    Until the retention is full each night adds the details of a run, then only its scores; and one more run needs
    room while it is loaded.
    """
    room = free - run_bytes
    whole = run_bytes + daily_bytes
    if room < missing_runs * whole:
        return max(0, room // whole)
    left = room - missing_runs * whole
    days = missing_runs + left // daily_bytes if daily_bytes else math.inf
    return None if days > 36_500 else int(days)


def run_json(run: ledger.Run) -> dict[str, Any]:
    """A published run, as other programs rely on it."""
    return {
        "run_id": run.run_id,
        "as_of": run.as_of.isoformat(),
        "model_id": run.model_id,
        "customers": run.customers,
        "rejected": run.rejected,
        "seconds": run.seconds,
    }


def status_json(settings: Settings) -> dict[str, Any]:
    """The state of the installation, as other programs rely on it; a database that is down is not an error.

    `problems` holds one sentence for everything that is not healthy, `message` all of them; both are empty when
    `healthy`. `notes` is worth knowing and nobody's fault.
    """
    prefect = prefect_service.prefect_url(settings)
    schedule, watch = scheduling.settled(settings, prefect), watching.watch_service(settings)
    errors = log_errors.look(settings)
    night, last = last_night.last(settings), None
    found: dict[str, Any] = {
        "database_url": None,
        "published": None,
        "published_at": None,
        "age_hours": None,
        "newest_run_id": None,
        "last_run": None,
        "last_night": asdict(night) if night else None,
        "dashboards_url": superset.url(settings),
        "prefect_url": prefect,
        "schedule_pid": scheduling.schedule_service(settings).pid(),
        "schedule": schedule.state,
        "next_night": scheduling.next_night_json(schedule.next_night, settings.time_zone),
        "watch_pid": watch.pid(),
        "errors": [asdict(one) for one in errors],
        "disk": None,
        "healthy": False,
        "problems": [],
        "notes": [],
        "message": None,
    }
    problems: list[str] = found["problems"]
    try:
        with database.database(settings) as engine:
            schema.require_current(engine)
            found["database_url"] = database.reader_url(settings)
            last = ledger.latest_ended(engine)
            _look(settings, engine, found)
    except DatabaseError as error:
        problems.append(str(error))
    problems += _troubles(last, night)
    if night and night.is_in_the_future:
        found["notes"].append(
            f"The last night is noted as of {night.ended_at[:16]} UTC, which is still to come: the clock was wrong."
        )
    if last_night.damaged(settings):
        found["notes"].append(
            f"{settings.state / last_night.FILE} is damaged, so that how the last night ended is not known;"
            " the next night writes it anew."
        )
    if schedule.problem:
        problems.append(schedule.problem)
    problems += [one.sentence for one in errors]
    known = scheduling.schedule_service(settings).made_of().get("the program")
    if schedule.state != "off" and known not in {None, program.program()}:
        found["notes"].append(
            "The schedule runs another version of this program than is installed here; `creditlens up` starts it"
            " anew."
        )
    if schedule.state == "unknown":
        found["notes"].append("Prefect did not say whether the schedule is active.")
    exposed = listening.exposure(settings)
    if found["dashboards_url"] and exposed:
        found["notes"].append(exposed)
    if watch.died():
        problems.append(
            "The watch has ended by itself, so that nobody would be told of a missing night;"
            f" see {watch.log}, start it with `creditlens up`."
        )
    found["healthy"] = not problems
    found["message"] = " ".join(problems) or None
    return found


def _troubles(last: ledger.Run | None, night: last_night.LastNight | None) -> list[str]:
    """What went wrong with the last run of the ledger and with the last night, unless a later night was good.

    A night whose file was not even opened has no run; one that finds its file unchanged has none either.
    """
    said = []
    if last and last.status in _WENT_WRONG and not (night and night.good and night.ended > last.started_at):
        said.append(f"The last run ({last.run_id}) {_WENT_WRONG[last.status]}: {last.message}")
    if night and not night.good and not (last and last.status == "published" and last.started_at > night.ended):
        told = bool(said) and last is not None and (last.message or "").startswith(night.message or "")
        if not told:
            went = _WENT_WRONG.get(night.outcome, night.outcome)
            said.append(f"The last night {went} at {night.ended:%Y-%m-%d %H:%M} UTC: {night.message}")
    return said


def _look(settings: Settings, engine: Engine, found: dict[str, Any]) -> None:
    problems: list[str] = found["problems"]
    run, last, newest = ledger.published(engine), ledger.latest(engine), pointer.newest(engine)
    found["disk"] = asdict(disk := growth(settings, engine))
    if last:
        # Asked again after the lock: a night closes its run, then lets the lock go.
        if last.status == "running" and not ledger.is_under_way(engine) and ledger.running(engine) == last.run_id:
            problems.append(
                f"Run {last.run_id} of {last.as_of} is marked as running, but nobody runs it: its process was"
                " killed; the next night puts this right."
            )
        found["last_run"] = {
            "run_id": last.run_id,
            "status": last.status,
            "message": last.message,
            "accepted": last.customers,
            "rejected": last.rejected,
        }
    if run is None or newest is None:
        problems.append("Nothing is published yet; run `creditlens up`.")
    else:
        assert run.published_at is not None
        latest = ledger.last_published(engine)
        assert latest is not None and latest.published_at is not None
        age = (datetime.now(UTC) - latest.published_at).total_seconds() / 3600
        found |= {
            "published": run_json(run),
            "published_at": run.published_at.isoformat(),
            "age_hours": round(age, 2),
            "newest_run_id": newest.run_id,
        }
        problems += [night_size.warning(run.run_id, check) for check in ledger.failed_warnings(engine, run.run_id)]
        if age > settings.stale_hours:
            problems.append(
                f"The last publication is {age:.0f} hours old; CREDITLENS_STALE_HOURS allows"
                f" {settings.stale_hours:g}."
            )
        if newest.run_id != run.run_id:
            found["notes"].append(_behind(engine, run, newest))
        if newest.run_id != run.run_id and night_date.is_ahead(newest.as_of, settings):
            problems.append(
                f"Run {newest.run_id} has a date that is still to come, {newest.as_of}; take it back with"
                f" `creditlens withdraw {newest.run_id} --reason ...`."
            )
        if latest.as_of < run.as_of and latest.as_of >= settings.date_of(latest.started_at):
            problems.append(
                f"Run {latest.run_id} of {latest.as_of} went to history, though it was not late: readers see run"
                f" {run.run_id} of {run.as_of}."
            )
    # A night archives, and drops details, after it has published.
    if settings.archive is not None and not ledger.is_under_way(engine):
        kept = ledger.beyond_retention(engine, retained_runs=settings.retained_runs)
        if kept:
            problems.append(
                f"Details of {len(kept)} {'run' if len(kept) == 1 else 'runs'} beyond the retention are kept, as"
                f" they are not archived in {settings.archive}: make room or connect it; the next night tries"
                " again."
            )
    if disk.free_bytes is not None and disk.free_bytes < MINIMUM_NIGHTS_OF_ROOM * (disk.run_bytes or 0):
        problems.append(
            f"The disk has {disk.free_bytes / 1e6:,.0f} MB left,"
            f" a night needs {(disk.run_bytes or 0) / 1e6:,.0f} MB."
        )


def _behind(engine: Engine, run: ledger.Run, newest: ledger.Run) -> str:
    text = f"Readers are on run {run.run_id} of {run.as_of}; the newest is run {newest.run_id} of {newest.as_of}."
    move = pointer.last_move(engine, run.run_id)
    if move is not None:
        text += f" {move.moved_by} moved them on {move.moved_at:%Y-%m-%d at %H:%M} UTC."
    return text


def status_text(found: dict[str, Any]) -> str:
    """The state of the installation for people; passwords are shown by --json only."""
    run, disk, last, night = found["published"], found["disk"], found["last_run"], found["last_night"]
    published = (
        f"run {run['run_id']} of {run['as_of']}: {run['customers']:,} customers, {run['rejected']:,} rejected,"
        f" model {run['model_id']}, {run['seconds']} s"
        if run
        else "nothing"
    )
    lines = [
        f"Published   {published}",
        f"Age         {_age(found['age_hours'])}",
        f"Last run    {_run(last)}",
        f"Last night  {night['outcome'] + ' ' + night['ended_at'][:16] + ' UTC' if night else 'unknown'}",
        f"Database    {'answers; open it with `creditlens sql`' if found['database_url'] else 'not available'}",
        f"Disk        {_disk(disk)}",
        f"Prefect     {found['prefect_url'] or 'no server'}",
        f"Schedule    {_process(found['schedule_pid'])}{found['schedule']}",
        f"Next night  {_next(found['next_night'])}",
        f"Watch       {_process(found['watch_pid'])}{'watching' if found['watch_pid'] else 'none here'}",
        f"Dashboards  {found['dashboards_url'] or 'none'}",
        *(f"Note        {note}" for note in found["notes"]),
        f"Health      {'good' if found['healthy'] else 'NOT GOOD: ' + str(found['message'])}",
    ]
    return "\n".join(lines)


def _run(last: dict[str, Any] | None) -> str:
    if last is None:
        return "none"
    counted = ""
    if last["rejected"] is not None and last["accepted"] is not None:
        rows = last["accepted"] + last["rejected"]
        counted = f": {rows:,} rows read, {last['accepted']:,} accepted, {last['rejected']:,} rejected"
    return f"{last['run_id']} {last['status']}{counted}"


def _process(pid: int | None) -> str:
    return f"process {pid}, " if pid else ""


def _next(planned: dict[str, str] | None) -> str:
    return scheduling.next_night_line(planned) if planned else "none is planned"


def _age(hours: float | None) -> str:
    return "nothing is published" if hours is None else f"{hours:,.1f} hours since the newest publication"


def _disk(disk: dict[str, Any] | None) -> str:
    if disk is None:
        return "unknown"
    said = f"database {disk['database_bytes'] / 1e6:,.0f} MB"
    if disk["run_bytes"]:
        said += f", a run {disk['run_bytes'] / 1e6:,.0f} MB, {disk['retained_runs']} kept"
    if disk["free_bytes"] is not None:
        said += f"; {disk['free_bytes'] / 1e9:,.1f} GB free"
        if disk["run_bytes"]:
            days = disk["days_until_full"]
            said += ", for over a hundred years" if days is None else f", for {days:,} nights"
    return said
