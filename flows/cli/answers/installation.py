"""What `--json` prints of the installation and its services."""

from __future__ import annotations

from typing import Literal

from flows.cli.answers.base import Answer, Failure, Moment
from flows.cli.answers.nights import Model, NextNight, Night, Run


class Dashboards(Answer):
    """`dashboards`: where they are, and who signs in with which password."""

    outcome: Literal["set up", "unchanged"]
    url: str
    users: dict[str, str]
    """Password by user."""
    seconds: float
    warnings: list[str]


class Schedule(Answer):
    """What became of the schedule."""

    outcome: Literal["started", "unchanged", "restarted", "not restarted"]
    message: str | None = None
    """Why no night will start; absent where one will."""


class Up(Night):
    """`up`: tonight's run, and all that was set up around it."""

    model: Model
    prefect_url: str | None
    schedule: Schedule | None = None
    """Absent with --foreground."""
    next_night: NextNight | None = None
    """Absent with --foreground."""
    dashboards: Dashboards | Failure | None = None
    """Absent without dashboards."""


class Down(Answer):
    """`down`: what of it had been running."""

    watch: bool
    dashboards: bool
    schedule: bool
    prefect: bool
    postgres: bool


class LastRun(Answer):
    """The newest run of the ledger, whatever became of it."""

    run_id: int
    status: Literal["running", "published", "refused", "failed", "withdrawn"]
    message: str | None
    accepted: int | None
    rejected: int | None


class LastNight(Answer):
    """How the last night ended, also one that came to no run."""

    ended_at: Moment
    outcome: str
    message: str | None


class ServiceErrors(Answer):
    """Errors in the log of a service that nobody expects."""

    service: str
    count: int
    first: str
    at: str | None
    log: str


class Disk(Answer):
    """Sizes in bytes, and how long they may go on growing at a run a day."""

    database_bytes: int
    run_bytes: int | None
    """Details of one kept run; null before the first."""
    retained_runs: int
    daily_bytes: int | None
    """What a night adds once as many runs are kept as may be."""
    free_bytes: int | None
    """Null for a server elsewhere."""
    days_until_full: int | None


class Status(Answer):
    """`status`: what is published, what runs, and what is wrong."""

    database_url: str | None
    """The reader's address, password included; null while the database does not answer."""
    published: Run | None
    """What readers see."""
    published_at: Moment | None
    age_hours: float | None
    """Since the newest publication."""
    newest_run_id: int | None
    last_run: LastRun | None
    last_night: LastNight | None
    dashboards_url: str | None
    prefect_url: str | None
    schedule_pid: int | None
    schedule: Literal[
        "off", "starting", "active", "stopped", "unserved", "paused", "inactive", "missing", "no server", "unknown",
        "unplanned", "different", "refused",
    ]  # fmt: skip
    next_night: NextNight | None
    watch_pid: int | None
    errors: list[ServiceErrors]
    disk: Disk | None
    healthy: bool
    """Whether there are no problems; the exit code is 1 if there are."""
    problems: list[str]
    """A sentence for everything that is not as it should be."""
    notes: list[str]
    """What is worth knowing and nobody's fault."""
    message: str | None
    """All problems in one text; null where there are none."""


class Migrated(Answer):
    """`migrate`: the schema's revision now."""

    revision: str | None


class Sample(Answer):
    """`sample`: the files that were written."""

    files: list[str]
