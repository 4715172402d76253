"""Errors that services write into their logs, where nobody reads them.

Counted are those of the last day and since the service was last started, so that what is mended is soon forgotten.
What is expected stands in EXPECTED, each with the reason why it is nobody's concern.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from flows.services.logs import STARTED
from flows.settings import Settings

WINDOW = timedelta(hours=24)
# The end of what a log and the one before it hold; a service that writes more than this in a day has said enough.
LARGEST_BYTES = 10_000_000
LONGEST_LINE = 300


@dataclass(frozen=True, slots=True)
class Expected:
    """Errors that are nobody's concern: of a service, with a line that matches, for a reason."""

    service: str
    pattern: str
    reason: str


EXPECTED = (
    Expected(
        "schedule",
        r"Flow run '[^']*' - (Encountered exception during execution|Finished in state Failed)",
        "a night that fails or is refused is told by the night itself, with its reason, and `status` knows it",
    ),
    Expected(
        "schedule",
        r"Task run '[^']*' - (Task run failed with exception|Finished in state Failed|Retries are exhausted)",
        "a step of such a night",
    ),
    Expected(
        "schedule",
        r"httpx\.(Connect|Read|RemoteProtocol|Write)\w*: ",
        "the Prefect server was away: `status` and the watch tell of it while it lasts, and the schedule goes on",
    ),
    Expected(
        "schedule",
        r"WARNING \| prefect\.FlowRunCancellingObserver - .*websocket failed with an exception",
        "on a busy machine: the schedule asks Prefect from time to time instead, until it is connected again",
    ),
    Expected(
        "Superset",
        r"Choose (exactly one customer|a value \(or All\) in every cohort filter)",
        "a dashboard without a customer, or a filter without a value: its charts refuse, and say what to choose",
    ),
    Expected(
        "Superset",
        r"superset\.(sql_lab|sqllab)\b",
        "a query that somebody typed in SQL Lab: whoever asked was told what is wrong with it",
    ),
    Expected(
        "Postgres",
        r"(creditlens_analyst|creditlens_dashboard)@\S+ (ERROR|FATAL):",
        "a reader's own query: it was refused, cancelled or mistyped, and whoever asked was told",
    ),
    Expected(
        "Postgres",
        r"ERROR:  canceling statement due to user request",
        "a command that was asked to end cancels its query, and says itself what became of its work",
    ),
    Expected(
        "Postgres",
        r"FATAL:  (terminating connection due to administrator command"
        r"|the database system is (starting up|shutting down|not yet accepting connections|in recovery mode))",
        "a server that is started or stopped",
    ),
    Expected(
        "Postgres",
        r"FATAL:  (password authentication failed|no pg_hba\.conf entry"
        r'|(role|database) "[^"]*" (does not exist|is not permitted to log in))',
        "somebody who is not let in, and is told so",
    ),
)


@dataclass(frozen=True, slots=True)
class Errors:
    """Errors of a service: how many, and the first of them (its time, where the log has one)."""

    service: str
    count: int
    first: str
    at: str | None
    log: str

    @property
    def counted(self) -> str:
        """How many there are, in a sentence."""
        what = "an error that is" if self.count == 1 else f"{self.count:,} errors that are"
        return f"The log of {self.service} has {what} not expected{f', from {self.at}' if self.at else ''}."

    @property
    def sentence(self) -> str:
        """The same with the first of them."""
        return f"{self.counted.removesuffix('.')}: {self.first} (see {self.log})."


def logs(settings: Settings) -> dict[str, Path]:
    """The log of each service by its name; of services in containers there is none here."""
    state = settings.state
    return {
        "the Prefect server": state / "prefect-server.log",
        "schedule": state / "schedule.log",
        "watch": state / "watch.log",
        "Superset": state / "superset.log",
        "Postgres": state / "postgres" / "postgres.log",
    }


def look(settings: Settings, now: datetime | None = None) -> list[Errors]:
    """What the services' logs hold that nobody expects."""
    after = (now or datetime.now(UTC)) - WINDOW
    found = []
    for service, path in logs(settings).items():
        errors = unexpected(service, _since_start(_read(path)), after)
        if errors:
            first = errors[0]
            at = f"{first.at:%Y-%m-%d %H:%M} UTC" if first.at else None
            found.append(Errors(service, len(errors), first.summary[:LONGEST_LINE], at, str(path)))
    return found


def unexpected(service: str, lines: Iterable[str], after: datetime | None = None) -> list[Record]:
    """Errors in lines of a service's log, but for those that are expected and those from before a moment."""
    return [
        record
        for record in _records(lines)
        if record.error
        and not record.expected(service)
        and (record.at is None or after is None or record.at > after)
    ]


# --- reading logs ---------------------------------------------------------------------------------------------

_TIME = re.compile(r"^\[?(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?:[.,]\d+)?(?: ?(UTC|Z|[+-]\d{4}))?")
_LEVEL = re.compile(r"(?:^|[\s|:\[])(ERROR|CRITICAL|FATAL|PANIC)(?=[\s|:\]])")
_TRACEBACK = "Traceback (most recent call last):"
# Where a line says its level: behind time, process and user.
_HEAD = 120


@dataclass(slots=True)
class Record:
    """What was written at once: a line with its time, and the lines without one that follow."""

    lines: list[str]
    at: datetime | None

    @property
    def error(self) -> bool:
        return bool(_LEVEL.search(self.lines[0][:_HEAD])) or any(_TRACEBACK in line for line in self.lines)

    @property
    def summary(self) -> str:
        """The line that says it: the first, or of a traceback alone the last that is not part of the way there."""
        if _LEVEL.search(self.lines[0][:_HEAD]):
            return self.lines[0].strip()
        begun = next(number for number, line in enumerate(self.lines) if _TRACEBACK in line)
        rest = [line.lstrip(" |+-") for line in self.lines[begun:] if re.match(r"^[ |+]*[\w.]+(?::|$)", line)]
        return (rest or self.lines[begun:])[-1].strip()

    def expected(self, service: str) -> bool:
        text = "\n".join(self.lines)
        return any(one.service == service and re.search(one.pattern, text) for one in EXPECTED)


def _read(path: Path) -> list[str]:
    """The last lines of a log, with those that were moved beside it when it became too long."""
    text = b""
    for one in (path.with_suffix(".1.log"), path):
        try:
            with one.open("rb") as file:
                file.seek(max(0, one.stat().st_size - LARGEST_BYTES))
                text += file.read()
        except OSError:
            continue
    return text[-LARGEST_BYTES:].decode(errors="replace").splitlines()


def _since_start(lines: list[str]) -> list[str]:
    """From where the service was last started; all, if that is no longer there."""
    starts = [
        number for number, line in enumerate(lines) if line.startswith(STARTED) or "starting PostgreSQL" in line
    ]
    return lines[starts[-1] :] if starts else lines


def _records(lines: Iterable[str]) -> Iterator[Record]:
    """Lines put together; one without a time of its own is of the time before it."""
    record: Record | None = None
    at: datetime | None = None
    for line in lines:
        stamp = _TIME.match(line.removeprefix(f"{STARTED} "))
        at = _moment(stamp) if stamp else at
        if record is None or stamp or line.startswith(STARTED) or _LEVEL.match(line):
            if record is not None:
                yield record
            record = Record([line], at)
        else:
            record.lines.append(line)
    if record is not None:
        yield record


def _moment(stamp: re.Match[str]) -> datetime:
    """A time as its log says it; one that names no zone is that of this computer's clock."""
    day, hour, zone = stamp.groups()
    text = f"{day}T{hour}"
    if zone in {"UTC", "Z"}:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    if zone:
        return datetime.strptime(text + zone, "%Y-%m-%dT%H:%M:%S%z").astimezone(UTC)
    return datetime.fromisoformat(text).astimezone(UTC)
