"""When nights begin: the times of a cron in a time zone, also where its clocks are put forward or back.

The rules are those by which Prefect plans (a test compares the two), so that what is promised is what is planned:

- a time that spring skips is moved behind the gap: 02:30 becomes 03:30, a midnight that does not exist 01:00;
- a time that autumn has twice is the first of the two;
- a night keeps the date on which the cron put it, also where a gap moves it past midnight.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

# No clock has ever been moved by more than a day.
LARGEST_JUMP = timedelta(hours=25)
_SECOND = timedelta(seconds=1)
_FIELDS = "minute, hour, day of month, month, day of week"


@dataclass(frozen=True, slots=True)
class Planned:
    """A night's beginning (in UTC, so that two of them compare), and the date that its scores are of."""

    at: datetime
    date: date
    zone: str

    @property
    def local(self) -> datetime:
        """Its beginning on the clocks of the zone."""
        return in_zone(self.at, self.zone)


def in_zone(moment: datetime, zone: str) -> datetime:
    """A moment on the clocks of a zone."""
    return moment.astimezone(ZoneInfo(zone))


def check_cron(cron: str) -> None:
    """Raise ValueError, in half a sentence, for a cron that no clock can follow."""
    croniter = _parser().croniter
    words = cron.split()
    if len(words) != 5 and not (len(words) == 1 and words[0].startswith("@")):
        raise ValueError(f"{cron!r} has {len(words)} fields; a cron has five: {_FIELDS}, such as 30 2 * * *")
    # Random times (R) would be others each time that they are worked out.
    try:
        known = (
            cron.isascii() and croniter.is_valid(cron) and not any(word.upper().startswith("R") for word in words)
        )
    except Exception:
        # What the parser stumbles over is no cron either.
        known = False
    if not known:
        raise ValueError(f"{cron!r} is not a cron; it has five fields: {_FIELDS}, such as 30 2 * * *")
    if next(_wall_times(cron, datetime(2026, 1, 1)), None) is None:
        raise ValueError(f"{cron!r} never happens; use a time that comes, such as 30 2 * * *")


def next_night(cron: str, zone: str, after: datetime) -> Planned | None:
    """The first night that begins after this moment; None if there is none within fifty years."""
    first, after = None, after.astimezone(UTC)
    for wall in _wall_times(cron, _wall(after, zone) - max(_jump(after, zone), timedelta()) - _SECOND):
        # One that a gap moved may be overtaken by one that stands behind the gap, and two may become one.
        if first is not None and wall > first.local.replace(tzinfo=None):
            break
        night = _placed(wall, zone)
        if night.at > after and (first is None or night.at <= first.at):
            first = night
    return first


def last_night(cron: str, zone: str, until: datetime) -> Planned | None:
    """The last night that was to begin by this moment; None if there was none within fifty years."""
    last, earliest, until = None, datetime.min, until.astimezone(UTC)
    for wall in _wall_times(cron, _wall(until, zone) + max(-_jump(until, zone), timedelta()) + _SECOND, back=True):
        if wall < earliest:
            break
        night = _placed(wall, zone)
        if night.at <= until and (last is None or night.at > last.at):
            last, earliest = night, wall - max(_jump(night.at, zone), timedelta())
    return last


def _placed(wall: datetime, zone: str) -> Planned:
    """The moment that a clock on the wall means; zoneinfo reads a time in a gap as the clock was before it."""
    return Planned(wall.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC), wall.date(), zone)


def _wall(moment: datetime, zone: str) -> datetime:
    return in_zone(moment, zone).replace(tzinfo=None, microsecond=0)


def _jump(moment: datetime, zone: str) -> timedelta:
    """By how much clocks were put forward within the day before: back, if it is negative."""
    offsets = [in_zone(when, zone).utcoffset() for when in (moment, moment - LARGEST_JUMP)]
    assert offsets[0] is not None and offsets[1] is not None
    return offsets[0] - offsets[1]


def _wall_times(cron: str, start: datetime, *, back: bool = False) -> Iterator[datetime]:
    """The cron's times on a wall clock that nobody moves, from `start` on (which is left out)."""
    parser = _parser()
    times = parser.croniter(cron, start)
    try:
        while True:
            yield times.get_prev(datetime) if back else times.get_next(datetime)
    except parser.CroniterBadDateError:
        return


@cache
def _parser() -> Any:
    """The parser of crons that Prefect plans with, without Prefect.

    Importing Prefect takes seconds, and fixes its settings before a command has made them.
    """
    prefect = importlib.util.find_spec("prefect")
    assert prefect is not None and prefect.submodule_search_locations
    path = Path(prefect.submodule_search_locations[0]) / "_vendor" / "croniter" / "croniter.py"
    spec = importlib.util.spec_from_file_location("flows._croniter", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
