"""The nightly schedule: one served deployment, one run at a time, missed nights caught up once.

Prefect plans runs ahead on its server. While nobody serves, planned runs become late; whoever serves next starts
them one after the other. The first scores the newest file, which is all that there is to catch up with, and the
others find that file unchanged: one night is published, and nothing piles up.
"""

from __future__ import annotations

import sys
from pathlib import Path

from flows.services import Background, prefect_environment
from flows.settings import Settings

DEPLOYMENT = "every-night"


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
    from flows.nights import start_watch

    start_watch(settings)
    nightly.serve(
        name=DEPLOYMENT,
        schedule=Cron(settings.cron, timezone=settings.time_zone),
        parameters={"applications": str(applications)},
        limit=1,
        pause_on_shutdown=False,
        print_starting_message=False,
    )
