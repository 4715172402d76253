"""The nightly schedule: one served deployment, one run at a time, missed nights caught up once.

Prefect plans runs ahead on its server. While nobody serves, planned runs become late; whoever serves next starts
them one after the other. The first scores the newest file, which is all that there is to catch up with, and the
others find that file unchanged: one night is published, and nothing piles up. What is caught up has the date of the
last night that was due, see `flows.alerts.last_night.date_of`.

The process that serves keeps the settings and the code that it was started with. It notes them beside its process
id, so that `creditlens up` starts it anew where they changed, and never in the middle of a night.
"""

from __future__ import annotations

import fcntl
import hmac
import json
import logging
import os
import signal
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import psutil
from pydantic import SecretStr

from db.errors import BusyError
from flows import clock, signals
from flows.installation import identity, program
from flows.installation.private import make_state_folder
from flows.services import http, prefect, processes
from flows.services.prefect import configured_prefect_url, prefect_environment
from flows.services.processes import Background, ServiceError
from flows.settings import Settings

log = logging.getLogger("creditlens")
# Until 0.3 the whole name of the deployment, for every installation.
FLOW, DEPLOYMENT = "nightly", "every-night"
# Until Prefect knows a schedule that has just been started or changed, that it is served, and when its nights are.
START_SECONDS = 90.0
# Prefect looks every five seconds for what was changed and plans it.
PLANNING_SECONDS = 8.0
# Prefect plans a hundred days ahead.
PLANNED_AHEAD = timedelta(days=90)
# Whoever serves asks for nights that begin within ten seconds, and looks every ten.
PREPARED_AHEAD = timedelta(seconds=20)
# `creditlens up` waits so long for a night to end before it starts the schedule anew.
NIGHT_SECONDS = 120.0
RETRY_SECONDS = 5.0
# How often Prefect may say that its database is busy before we believe that it cannot answer.
BUSY_ANSWERS = 5

State = Literal[
    "off", "starting", "active", "stopped", "unserved", "paused", "inactive", "missing", "no server", "unknown",
    "unplanned", "different", "refused",
]  # fmt: skip
Start = Literal["started", "unchanged", "restarted", "not restarted"]


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether nights will start.

    Attributes
    ----------
    state: in a word.
    problem: what is wrong in a sentence, None where nothing is.
    next_night: when Prefect will start the next night, None where it did not say.
    """

    state: State
    problem: str | None = None
    next_night: datetime | None = None


def deployment_name(settings: Settings) -> str:
    """What Prefect calls the schedule of this installation; its server may have others'."""
    return f"{DEPLOYMENT}-{identity.of(settings.state).name}"


def schedule_service(settings: Settings) -> Background:
    """The background process that serves the schedule."""
    # A night under way closes its run, takes its tables away and tells of it, also on a busy machine.
    return Background("schedule", settings.state, patience=60.0)


# --- starting it, and starting it anew ------------------------------------------------------------------------


def start_schedule(settings: Settings, applications: Path) -> Start:
    """Serve the schedule in the background with these settings and this program; what was to be done for it.

    One that runs with the same ones is left alone, one with others is started anew, but not in the middle of a
    night: after NIGHT_SECONDS of waiting it is left as it is, which is logged.
    """
    make_state_folder(settings.state)
    with (settings.state / "schedule-start.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Of two commands at once, the second one finds what the first one started.
        return _start_schedule(settings, applications)


def _start_schedule(settings: Settings, applications: Path) -> Start:
    service, wanted = schedule_service(settings), made_of(settings, applications)
    outcome: Start = "started"
    if service.pid() is not None:
        changed = differences(service.made_of(), wanted)
        if not changed:
            return "unchanged"
        told = ", ".join(changed)
        if service.made_of().get("foreground"):
            log.warning(
                "The schedule is served by process %s, which was started otherwise (%s); stop that one, and run"
                " `creditlens up` again.", service.pid(), told,
            )  # fmt: skip
            return "not restarted"
        log.info("Starting the schedule anew, as it was started otherwise (%s) ...", told)
        if not _between_nights(service):
            log.warning(
                "A night is under way, so that the schedule was not started anew; run `creditlens up` later."
            )
            return "not restarted"
        service.stop()
        outcome = "restarted"
    command = [sys.executable, "-m", "flows.cli", "schedule", "--applications", str(applications)]
    # The service notes for itself what it was started with, in the same words; until then this says it.
    service.start(command, prefect_environment(settings), wanted)
    return outcome


def beside_the_night(settings: Settings, applications: Path, answer: dict[str, Any]) -> str | None:
    """`start_schedule` for `creditlens up`, whose night is published whatever becomes of the schedule.

    Adds to its answer what was done and when the next night begins, or why none will, which is also returned.
    """
    answer["schedule"] = {"outcome": start_schedule(settings, applications)}
    answer["next_night"] = None
    log.info("Waiting for Prefect to plan the next night ...")
    try:
        answer["next_night"] = next_night_json(wait_for_plan(settings), settings.time_zone)
    except ServiceError as error:
        answer["schedule"]["message"] = str(error)
        log.warning("creditlens: The night is published; %s", error)
        return str(error)
    return None


def made_of(settings: Settings, applications: Path) -> dict[str, str]:
    """What a schedule is started with, by name; secrets as keyed digests."""
    key = settings.secrets()["privacy"].encode()
    found = {
        "the program": program.program(),
        "the file of applications": str(applications),
        "the Prefect server": prefect.prefect_url(settings) or "",
        "PREFECT_API_AUTH_STRING": _digest(key, os.environ.get("PREFECT_API_AUTH_STRING", "")),
    }
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            value = _digest(key, value.get_secret_value())
        found[f"CREDITLENS_{name.upper()}"] = "" if value is None else str(value)
    return found


def _digest(key: bytes, secret: str) -> str:
    return hmac.digest(key, secret.encode(), "sha256").hex()[:16] if secret else ""


def differences(known: dict[str, str], wanted: dict[str, str]) -> list[str]:
    """What changed, by name; a service that noted nothing is of an older program."""
    if not known:
        return ["the program"]
    return [name for name, value in wanted.items() if known.get(name) != value]


def stop_outdated_prefect(settings: Settings) -> bool:
    """Stop a local Prefect server that runs on other packages than are installed; whether it was.

    Nothing that it knows is lost, and the schedule goes on with the server that is started after it.
    """
    server = prefect.prefect_server(settings)
    if server.pid() is None or server.made_of() == prefect.prefect_made_of(settings):
        return False
    if not _between_nights(schedule_service(settings)):
        log.warning("A night is under way, so that the Prefect server stays as it is; run `creditlens up` later.")
        return False
    log.info("Starting the Prefect server anew, as it was started with other packages or settings ...")
    return server.stop()


def _has_night(service: Background) -> bool:
    """Each night is a process of its own below the one that serves."""
    pid = service.pid()
    try:
        children = psutil.Process(pid).children(recursive=True) if pid else []
        # Python's own, which has nothing to do with nights and never ends.
        return any("resource_tracker" not in " ".join(child.cmdline()) for child in children)
    except psutil.Error:
        return False


def _between_nights(service: Background) -> bool:
    """Wait until no night is under way; False if one still is after NIGHT_SECONDS."""
    deadline = time.monotonic() + NIGHT_SECONDS
    while _has_night(service):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.5)
    return True


# --- serving --------------------------------------------------------------------------------------------------


@contextmanager
def alone(settings: Settings) -> Iterator[None]:
    """Be the only process that serves this installation's schedule, for the block; also among containers.

    Raises BusyError if another one does.
    """
    pid = schedule_service(settings).pid()
    other = f"process {pid}" if pid not in {None, os.getpid()} else None
    busy = BusyError(
        f"The schedule of this installation is already served by {other or 'another process'};"
        " `creditlens status` shows it, and `creditlens down` stops what `creditlens up` started."
    )
    # A service of version 0.3 holds no lock.
    if other:
        raise busy
    make_state_folder(settings.state)
    with (settings.state / "schedule.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise busy from None
        yield


def serve(settings: Settings, applications: Path) -> None:
    """Serve the nightly flow until the process is ended. Needs a Prefect server (PREFECT_API_URL).

    While that server is away nothing starts; when it is back, nights go on.
    """
    service = schedule_service(settings)
    if service.pid() is None:
        service.adopt({**made_of(settings, applications), "foreground": "yes"})
    threading.Thread(target=_announce, args=(settings,), daemon=True).start()
    try:
        with signals.leaving("no night starts until `creditlens up`, or `creditlens schedule`"):
            _serve_until_ended(settings, applications)
    except KeyboardInterrupt as error:
        # Somebody at the terminal wants it so; any other end is one that must be noticed.
        if getattr(error, "number", signal.SIGINT) == signal.SIGINT:
            service.forget()
        raise


def _serve_until_ended(settings: Settings, applications: Path) -> None:
    try:
        retire_former(settings, applications)
    except Exception as error:
        # Nights must start all the same.
        log.warning("Could not look for former deployments: %s: %s", type(error).__name__, error)
    while True:
        started = time.monotonic()
        try:
            _serve_once(settings, applications)
            # Prefect ends on Ctrl+C without passing it on.
            signals.check()
            return
        except Exception as error:
            # What fails at once although the server answers will fail again.
            if prefect.prefect_url(settings) and time.monotonic() - started < START_SECONDS:
                raise
            log.warning("No night starts while the Prefect server does not answer (%s).", type(error).__name__)
        _wait_for_prefect()


def retire_former(settings: Settings, applications: Path) -> None:
    """Take away deployments under which this installation was served before; say so.

    On our own server these are all but the present one: of version 0.3, and of the installation that this one was
    copied from. On a server that others may use it is the one of 0.3 that names our file; it is paused, not
    deleted, lest it be somebody else's whose file has the same name.
    """
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterName, FlowFilter, FlowFilterName

    name, shared = deployment_name(settings), configured_prefect_url(settings) is not None
    flow = FlowFilter(name=FlowFilterName(any_=[FLOW]))
    with get_client(sync_client=True) as client:
        if shared:
            same = DeploymentFilter(name=DeploymentFilterName(any_=[DEPLOYMENT]))
            for former in client.read_deployments(flow_filter=flow, deployment_filter=same):
                if former.parameters.get("applications") == str(applications) and not former.paused:
                    client.pause_deployment(former.id)
                    log.warning("Paused Prefect's deployment %s/%s: %s is in its place.", FLOW, former.name, name)
        else:
            for former in client.read_deployments(flow_filter=flow):
                if former.name != name and former.name.partition(f"{DEPLOYMENT}-")[0] in {"", DEPLOYMENT}:
                    client.delete_deployment(former.id)
                    log.warning("Removed Prefect's deployment %s/%s: %s is in its place.", FLOW, former.name, name)


def _announce(settings: Settings) -> None:
    """Say when the next night begins, or why none will, once that is known."""
    try:
        log.info("Next night: %s", next_night_text(wait_for_plan(settings), settings.time_zone))
    except ServiceError as error:
        log.warning("%s", error)


def _serve_once(settings: Settings, applications: Path) -> None:
    from prefect.schedules import Cron

    from flows.nightly import nightly

    nightly.serve(
        name=deployment_name(settings),
        schedule=Cron(settings.cron, timezone=settings.time_zone),
        parameters={"applications": str(applications)},
        limit=1,
        pause_on_shutdown=False,
        print_starting_message=False,
    )


def _wait_for_prefect() -> None:
    """Until the server at PREFECT_API_URL answers, which may be in days."""
    while not http.answers(f"{os.environ['PREFECT_API_URL']}/health"):
        time.sleep(RETRY_SECONDS)
    log.warning("The Prefect server answers again; nights go on.")


# --- will nights start? ---------------------------------------------------------------------------------------


def standing(settings: Settings, prefect_url: str | None) -> Standing:
    """Whether nights will start: the schedule's process runs, and Prefect, if it answers, says so and when."""
    service = schedule_service(settings)
    since = service.since()
    if since is None:
        return Standing("off")
    if service.died():
        return Standing(
            "stopped",
            f"The schedule's process has ended by itself; see {service.log}, start it with `creditlens up`.",
        )
    if prefect_url is None:
        return Standing(
            "no server", "The schedule is served but no Prefect server answers, so that no night starts."
        )
    now = datetime.now(UTC)
    try:
        name = deployment_name(settings)
        deployment = _deployment(prefect_url, name)
        found = _of_deployment(deployment, name)
        if deployment is not None:
            since = max(since, *(datetime.fromisoformat(one["updated"]) for one in deployment["schedules"]))
            if found.problem is None:
                found = _of_plan(settings, deployment, _planned(prefect_url, deployment, now), now)
    except urllib.error.HTTPError as error:
        refused = error.code in {401, 403}
        return Standing("refused", processes.no_access(prefect_url)) if refused else Standing("unknown")
    except (OSError, ValueError):
        return Standing("unknown")
    patient = found.state not in {"paused", "inactive"}
    if found.problem and patient and (now - since).total_seconds() < START_SECONDS:
        return Standing("starting", next_night=found.next_night)
    return found


def settled(settings: Settings, prefect_url: str | None) -> Standing:
    """`standing`, after the seconds that Prefect takes to plan where something was just changed."""
    deadline = time.monotonic() + PLANNING_SECONDS
    while (found := standing(settings, prefect_url)).state == "unplanned" and time.monotonic() < deadline:
        time.sleep(1)
    return found


def next_night_text(moment: datetime, time_zone: str) -> str:
    """When a night begins, for people: 28 Nov 02:30 Europe/Paris."""
    return f"{clock.in_zone(moment, time_zone):%-d %b %H:%M} {time_zone}"


def next_night_line(planned: dict[str, str]) -> str:
    """The same of what `next_night_json` gave."""
    return next_night_text(datetime.fromisoformat(planned["at"]), planned["time_zone"])


def next_night_json(moment: datetime | None, time_zone: str) -> dict[str, str] | None:
    """When a night begins, as other programs rely on it."""
    return {"at": clock.in_zone(moment, time_zone).isoformat(), "time_zone": time_zone} if moment else None


def wait_for_plan(settings: Settings) -> datetime:
    """When the next night begins, as soon as Prefect has planned it.

    Raises ServiceError with what is wrong if it has not within START_SECONDS.
    """
    deadline = time.monotonic() + START_SECONDS
    while True:
        found = standing(settings, prefect.prefect_url(settings))
        if found.state == "active" and found.next_night is not None:
            return found.next_night
        if found.problem or time.monotonic() > deadline:
            raise ServiceError(
                found.problem
                or "The schedule was started, but Prefect has not planned a night; see"
                f" {prefect.prefect_server(settings).log}."
            )
        time.sleep(0.5)


def _of_deployment(deployment: dict[str, Any] | None, name: str = DEPLOYMENT) -> Standing:
    name = f"deployment {FLOW}/{name}"
    if deployment is None:
        return Standing(
            "missing",
            f"Prefect does not know the schedule ({name}), so that no night starts; run `creditlens down`, then"
            " `creditlens up`.",
        )
    if deployment["paused"]:
        return Standing(
            "paused", f"The schedule is paused in Prefect ({name}), so that no night starts; resume it."
        )
    if not any(schedule["active"] for schedule in deployment["schedules"]):
        return Standing(
            "inactive", f"No schedule is active in Prefect ({name}), so that no night starts; switch it on."
        )
    if deployment["status"] != "READY":
        return Standing(
            "unserved",
            f"Nobody has asked Prefect for nights for a minute ({name}), so that none starts; is the process that"
            " serves the schedule alive?",
        )
    return Standing("active")


def _of_plan(settings: Settings, deployment: dict[str, Any], planned: datetime | None, now: datetime) -> Standing:
    """What Prefect has planned beside what the settings ask for."""
    wanted = clock.next_night(settings.cron, settings.time_zone, now)
    if planned is None:
        if wanted is None or wanted.at > now + PLANNED_AHEAD:
            return Standing("active", next_night=wanted.at if wanted else None)
        return Standing(
            "unplanned",
            "The schedule is active but Prefect has planned no night, so that none starts; see"
            f" {prefect.prefect_server(settings).log}, and run `creditlens down`, then `creditlens up`.",
        )
    served = [one["schedule"] for one in deployment["schedules"] if one["active"]]
    same = [(one.get("cron"), one.get("timezone")) for one in served] == [(settings.cron, settings.time_zone)]
    # One that begins at this moment is planned no more.
    after_it = clock.next_night(settings.cron, settings.time_zone, datetime.now(UTC) + PREPARED_AHEAD)
    if same and planned in {night.at for night in (wanted, after_it) if night}:
        return Standing("active", next_night=planned)
    when = f"for {next_night_text(wanted.at, settings.time_zone)}" if wanted else "never"
    return Standing(
        "different",
        f"Prefect starts the next night on {next_night_text(planned, settings.time_zone)}, but CREDITLENS_CRON"
        f" ({settings.cron}) and CREDITLENS_TIME_ZONE ask {when}; run `creditlens up` to serve these settings.",
        planned,
    )


def _deployment(prefect_url: str, name: str) -> dict[str, Any] | None:
    """What Prefect says of our deployment, None if it knows none; OSError or ValueError if it says nothing."""
    try:
        found: dict[str, Any] = _ask(f"{prefect_url}/deployments/name/{FLOW}/{name}")
        return found
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        raise


def _planned(prefect_url: str, deployment: dict[str, Any], after: datetime) -> datetime | None:
    """When the next night begins that Prefect has planned, None if it has planned none."""
    found = _ask(
        f"{prefect_url}/flow_runs/filter",
        {
            "deployments": {"id": {"any_": [deployment["id"]]}},
            "flow_runs": {
                "state": {"type": {"any_": ["SCHEDULED"]}},
                "next_scheduled_start_time": {"after_": after.isoformat()},
            },
            "sort": "NEXT_SCHEDULED_START_TIME_ASC",
            "limit": 10,
        },
    )
    planned = [run["next_scheduled_start_time"] for run in found if run["auto_scheduled"]]
    return datetime.fromisoformat(planned[0]) if planned else None


def _ask(address: str, body: object = None) -> Any:
    """What Prefect's API answers. While its database is busy it says 503, which a second question mends."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    headers = {"Content-Type": "application/json", **processes.prefect_headers()}
    request = urllib.request.Request(address, None if body is None else json.dumps(body).encode(), headers)
    answered = 0
    while True:
        try:
            with opener.open(request, timeout=5) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            answered += 1
            if error.code != 503 or answered == BUSY_ANSWERS:
                raise
            time.sleep(1)
