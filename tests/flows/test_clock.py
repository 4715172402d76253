"""When nights begin: one for each date, in every zone and year, and as Prefect plans them."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows import clock

DAY = timedelta(days=1)
# Zones without summer time in any year say little; these have had it at midnight, by half an hour, by a whole day.
JUMPY = (
    *("Europe/Paris", "America/Sao_Paulo", "Asia/Beirut", "Africa/Cairo", "America/Nuuk", "Australia/Lord_Howe"),
    *("Pacific/Apia", "America/Havana", "Asia/Tehran", "Africa/Casablanca", "Atlantic/Azores", "Asia/Gaza"),
)


def changes(zone: str, year: int) -> list[datetime]:
    """The days of a year on which the zone's clocks were changed."""
    place = ZoneInfo(zone)
    days = [datetime(year, 1, 1, tzinfo=UTC) + number * DAY for number in range(366)]
    return [day for day in days if day.astimezone(place).utcoffset() != (day + DAY).astimezone(place).utcoffset()]


@st.composite
def moments(draw: st.DrawFn) -> tuple[str, datetime]:
    """A zone, and a moment two or three days before its clocks are changed where they are."""
    zone = draw(st.sampled_from(JUMPY) | st.sampled_from(sorted(available_timezones() - {"localtime"})))
    year = draw(st.integers(1980, 2036))
    days = changes(zone, year) or [datetime(year, 6, 1, tzinfo=UTC)]
    return zone, draw(st.sampled_from(days)) - 2 * DAY - timedelta(minutes=draw(st.integers(0, 1439)))


def exists(wall: datetime, zone: str) -> bool:
    return (
        wall.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None) == wall
    )


def date_exists(day: date, zone: str) -> bool:
    return any(exists(datetime(day.year, day.month, day.day, hour), zone) for hour in range(24))


def nights(cron: str, zone: str, start: datetime, count: int) -> list[clock.Planned]:
    found: list[clock.Planned] = []
    for _ in range(count):
        night = clock.next_night(cron, zone, found[-1].at if found else start)
        assert night is not None
        found.append(night)
    return found


@settings(max_examples=300, deadline=None)
@given(moments(), st.integers(0, 23), st.integers(0, 59))
def test_a_daily_cron_has_one_night_for_each_date_in_order_and_at_times_that_exist(
    where: tuple[str, datetime], hour: int, minute: int
) -> None:
    zone, start = where
    found = nights(f"{minute} {hour} * * *", zone, start, 6)
    dates = [night.date for night in found]
    wanted = [dates[0] + number * DAY for number in range((dates[-1] - dates[0]).days + 1)]
    assert dates == [day for day in wanted if date_exists(day, zone)]
    assert all(one.at < other.at for one, other in pairwise(found))
    for night in found:
        wall = night.local.replace(tzinfo=None)
        nominal = datetime(night.date.year, night.date.month, night.date.day, hour, minute)
        assert exists(wall, zone)
        # Only a time that the clocks skip is moved, and it is moved behind the gap, by the gap.
        assert wall == nominal if exists(nominal, zone) else nominal < wall <= nominal + DAY
        # Of a time that comes twice it is the first.
        assert night.local.fold == 0


@settings(max_examples=150, deadline=None)
@given(
    moments(),
    st.sampled_from(
        ["{m} {h} * * *", "{m} {h},3 * * *", "*/20 * * * *", "{m} {h} * * 1-5", "{m} */6 * * *", "15,45 2,3 * * *"]
    ),
    st.integers(0, 23),
    st.integers(0, 59),
)
def test_nights_are_those_that_prefect_plans(
    where: tuple[str, datetime], form: str, hour: int, minute: int
) -> None:
    from prefect.server.schemas.schedules import CronSchedule

    zone, start = where
    cron = form.format(m=minute, h=hour)
    plan = asyncio.run(
        CronSchedule(cron=cron, timezone=zone).get_dates(40, start=start + timedelta(microseconds=1))
    )
    assert [night.at for night in nights(cron, zone, start, 40)] == [moment.astimezone(UTC) for moment in plan]


@settings(max_examples=150, deadline=None)
@given(moments(), st.sampled_from(["{m} {h} * * *", "*/20 * * * *", "{m} {h} * * 1-5"]), st.integers(0, 23),
       st.integers(0, 59), st.floats(0, 1))  # fmt: skip
def test_the_last_night_is_the_one_before_the_next(
    where: tuple[str, datetime], form: str, hour: int, minute: int, share: float
) -> None:
    zone, start = where
    cron = form.format(m=minute, h=hour)
    for one, other in pairwise(nights(cron, zone, start, 8)):
        assert clock.last_night(cron, zone, one.at) == one
        assert clock.last_night(cron, zone, one.at + share * (other.at - one.at - timedelta(seconds=1))) == one


@pytest.mark.parametrize(
    ("cron", "zone", "day", "at", "of"),
    [
        ("30 2 * * *", "Europe/Paris", "2026-03-29", "2026-03-29T03:30:00+02:00", "2026-03-29"),
        ("30 2 * * *", "Europe/Paris", "2026-10-25", "2026-10-25T02:30:00+02:00", "2026-10-25"),
        ("0 0 * * *", "America/Sao_Paulo", "2018-11-04", "2018-11-04T01:00:00-02:00", "2018-11-04"),
        ("0 0 * * *", "Asia/Beirut", "2025-03-30", "2025-03-30T01:00:00+03:00", "2025-03-30"),
        ("0 0 * * *", "Africa/Cairo", "2025-04-25", "2025-04-25T01:00:00+03:00", "2025-04-25"),
        # The hour before midnight is skipped: the night begins after it, and is that evening's still.
        ("30 23 * * *", "America/Nuuk", "2024-03-30", "2024-03-31T00:30:00-01:00", "2024-03-30"),
        # A date that never was has no night.
        ("30 2 * * *", "Pacific/Apia", "2011-12-30", "2011-12-31T02:30:00+14:00", "2011-12-31"),
    ],
)
def test_where_clocks_are_changed(cron: str, zone: str, day: str, at: str, of: str) -> None:
    # Half an hour after the night before.
    start = datetime.fromisoformat(f"{day}T00:00").replace(tzinfo=ZoneInfo(zone)) - timedelta(minutes=10)
    night = clock.next_night(cron, zone, start)
    assert night is not None
    assert (night.local.isoformat(), night.date.isoformat()) == (at, of)


@pytest.mark.parametrize(
    "cron", ["30 2 * * *", "* * * * *", "0 3 * * mon-fri", "30 2 L * *", "@daily", "0 0 29 2 *"]
)
def test_a_cron_that_a_clock_can_follow(cron: str) -> None:
    clock.check_cron(cron)


@pytest.mark.parametrize(
    ("cron", "why"),
    [
        ("61 2 * * *", "not a cron"), ("30 2 * *", "4 fields"), ("0 30 2 * * *", "6 fields"), ("  ", "0 fields"),
        ("30 2 * * ,", "not a cron"), ("0 0 31 2 *", "never happens"), ("0 2 31 4,6 *", "never happens"),
        ("@reboot", "not a cron"), ("@", "not a cron"), ("R 2 * * *", "not a cron"), ("h 2 * * *", "not a cron"),
        ("*/0 * * * *", "not a cron"), ("0 2 * * 8", "not a cron"), ("tonight", "1 fields"),
        ("\u0663 2 * * *", "not a cron"),
    ],
)  # fmt: skip
def test_a_cron_that_no_clock_can_follow(cron: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        clock.check_cron(cron)
