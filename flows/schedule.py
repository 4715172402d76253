"""The nightly schedule: one served deployment, one run at a time, missed nights caught up once.

Prefect plans runs ahead on its server. While nobody serves, planned runs become late; whoever serves next starts
them one after the other. The first scores the newest file, which is all that there is to catch up with, and the
others find that file unchanged: one night is published, and nothing piles up.
"""

from __future__ import annotations

import json
import logging
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from flows import identity
from flows.services import Background, configured_prefect_url, prefect_environment
from flows.settings import Settings

log = logging.getLogger("creditlens")
# Until 0.3 the whole name of the deployment, for every installation.
FLOW, DEPLOYMENT = "nightly", "every-night"
# Until Prefect knows a schedule that has just been started, and that it is served.
START_SECONDS = 90.0

State = Literal[
    "off", "starting", "active", "stopped", "unserved", "paused", "inactive", "missing", "no server", "unknown"
]


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether nights will start: a word, and what is wrong in a sentence, None where nothing is."""

    state: State
    problem: str | None = None


def deployment_name(settings: Settings) -> str:
    """What Prefect calls the schedule of this installation; its server may have others'."""
    return f"{DEPLOYMENT}-{identity.of(settings.state).name}"


def schedule_service(settings: Settings) -> Background:
    """The background process that serves the schedule."""
    return Background("schedule", settings.state)


def start_schedule(settings: Settings, applications: Path) -> None:
    """Serve the schedule in the background, unless it is served already."""
    command = [sys.executable, "-m", "flows.cli", "schedule", "--applications", str(applications)]
    schedule_service(settings).start(command, prefect_environment(settings))


def serve(settings: Settings, applications: Path) -> None:
    """Serve the nightly flow until the process is ended. Needs a Prefect server (PREFECT_API_URL)."""
    from prefect.schedules import Cron

    from flows.nightly import nightly

    service = schedule_service(settings)
    if service.pid() is None:
        service.adopt()
    try:
        retire_former(settings, applications)
    except Exception as error:
        # Nights must start all the same.
        log.warning("Could not look for former deployments: %s: %s", type(error).__name__, error)
    try:
        nightly.serve(
            name=deployment_name(settings),
            schedule=Cron(settings.cron, timezone=settings.time_zone),
            parameters={"applications": str(applications)},
            limit=1,
            pause_on_shutdown=False,
            print_starting_message=False,
        )
    except KeyboardInterrupt:
        # Somebody at the terminal wants it so; any other end is one that must be noticed.
        service.forget()
        raise


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


# --- will nights start? ---------------------------------------------------------------------------------------


def standing(settings: Settings, prefect_url: str | None) -> Standing:
    """Whether nights will start: the schedule's process runs, and Prefect, if it answers, says so."""
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
    try:
        name = deployment_name(settings)
        found = _of_deployment(_deployment(prefect_url, name), name)
    except (OSError, ValueError):
        return Standing("unknown")
    if found.problem and (datetime.now(UTC) - since).total_seconds() < START_SECONDS:
        return Standing("starting")
    return found


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


def _deployment(prefect_url: str, name: str) -> dict[str, Any] | None:
    """What Prefect says of our deployment, None if it knows none; OSError or ValueError if it says nothing."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{prefect_url}/deployments/name/{FLOW}/{name}", timeout=5) as response:
            found: dict[str, Any] = json.load(response)
            return found
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        raise
