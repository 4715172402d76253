"""Which date a night is of: today's where somebody starts it, that of the last night due where the clock does."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from flows.alerts import last_night
from flows.settings import Settings

ZONE = "Asia/Tokyo"
Dated = Callable[[bool, datetime, Settings], date]


@pytest.fixture
def dated(prefect_api: str, open_folder: Path) -> Dated:
    """The date of a night that Prefect's engine runs, which the clock or somebody planned for a moment."""
    from prefect import flow
    from prefect.client.orchestration import get_client
    from prefect.flow_engine import run_flow

    def run(by_the_clock: bool, planned: datetime, settings: Settings) -> date:
        @flow(name="dated")
        def night() -> str:
            return last_night.date_of(settings).isoformat()

        async def planned_run():  # type: ignore[no-untyped-def]
            async with get_client() as client:
                return await client.create_flow_run(night)

        made = asyncio.run(planned_run())
        # What only the server's scheduler says: its interface lets nobody.
        with closing(sqlite3.connect(open_folder / "prefect-state/prefect/prefect.db", timeout=30)) as base, base:
            change = "UPDATE flow_run SET auto_scheduled = ?, expected_start_time = ? WHERE id = ?"
            at = planned.astimezone(UTC).replace(tzinfo=None).isoformat(" ")
            assert base.execute(change, (by_the_clock, at, str(made.id))).rowcount == 1
        return date.fromisoformat(run_flow(night, flow_run=made))

    return run


def local(moment: datetime) -> datetime:
    return moment.astimezone(ZoneInfo(ZONE))


def test_a_night_has_the_date_of_the_last_one_that_was_due(dated: Dated) -> None:
    assert last_night.date_of(Settings(time_zone=ZONE)) == local(datetime.now(UTC)).date()
    now = datetime.now(UTC)
    soon = local(now + timedelta(minutes=10))
    settings = Settings(cron=f"{soon.minute} {soon.hour} * * *", time_zone=ZONE)
    last = (soon - timedelta(days=1)).replace(second=0, microsecond=0)
    # Late, after midnight too: still of the evening for which it was planned.
    assert dated(True, last, settings) == last.date()
    # Three were missed: what is caught up is of the last of them.
    assert dated(True, last - timedelta(days=3), settings) == last.date()
    # Prepared some seconds before its time: of the time.
    assert dated(True, soon.replace(second=0, microsecond=0), settings) == soon.date()
    # Somebody started it.
    assert dated(False, now, settings) == local(datetime.now(UTC)).date()
