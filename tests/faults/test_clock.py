"""The clock starts the night: with the services that `creditlens up` starts, also after they were killed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from flows import clock
from flows.operations import schedule
from flows.services import log_errors, prefect
from tests.faults.clocked import EVERY_MINUTE, Clocked, make

pytestmark = pytest.mark.timeout(1200)
PARIS = ZoneInfo("Europe/Paris")


@pytest.fixture(scope="module")
def site(open_folder: Path) -> Iterator[Clocked]:
    """An installation that `creditlens up` has set up, and published the first night of."""
    with pytest.MonkeyPatch.context() as patch:
        # What asks for the database and for Prefect in this process is to find the site's.
        for name in [name for name in os.environ if name.startswith(("CREDITLENS_", "PREFECT_"))]:
            patch.delenv(name)
        patch.delenv("DATABASE_URL", raising=False)
        made = make(open_folder / "clocked")
        patch.setenv("CREDITLENS_CRON", EVERY_MINUTE)
        try:
            answer = made.up()
            assert answer["outcome"] == "published"
            assert answer["schedule"] == {"outcome": "started"}
            assert in_a_minute(answer["next_night"])
            yield made
        finally:
            made.command("down", code=None)


def in_a_minute(planned: dict[str, str]) -> bool:
    """Whether a night is planned for the next minute or the one after, on the clocks of Paris."""
    at = datetime.fromisoformat(planned["at"])
    assert planned["time_zone"] == "Europe/Paris"
    assert at.utcoffset() == at.astimezone(PARIS).utcoffset()
    return timedelta(minutes=-3) < at - datetime.now(UTC) <= timedelta(minutes=2)


def test_the_clock_starts_a_night_and_the_next_and_status_says_when(site: Clocked) -> None:
    one, other = site.published(seed=101), site.published(seed=102)
    assert one[3] != other[3]
    assert other[2] == datetime.now(PARIS).date() or one[2] == other[2]
    # A night is published before its process has ended and Prefect knows.
    site.wait(lambda: len([run for run in site.prefect_runs() if run["state_type"] == "COMPLETED"]) >= 2)
    status = site.status()
    assert (status["schedule"], status["problems"]) == ("active", [])
    planned = datetime.fromisoformat(status["next_night"]["at"])
    wanted = clock.next_night(EVERY_MINUTE, "Europe/Paris", planned - timedelta(seconds=1))
    assert wanted is not None and wanted.at == planned
    assert in_a_minute(status["next_night"])
    lines = site.command("status").stdout.splitlines()
    assert any(line.startswith("Next night  ") and line.endswith(" Europe/Paris") for line in lines)


def test_nobody_finds_an_error_in_the_logs_of_ordinary_nights(site: Clocked) -> None:
    # The test before has left some; alone, this one needs one of its own.
    if not any(run["state_type"] == "COMPLETED" for run in site.prefect_runs()):
        site.published(seed=103)
    assert log_errors.look(site.settings) == [], site.logs()


def test_up_with_the_same_settings_leaves_the_services_alone(site: Clocked) -> None:
    before = [prefect.prefect_server(site.settings).pid(), schedule.schedule_service(site.settings).pid()]
    assert site.up()["schedule"] == {"outcome": "unchanged"}
    assert [prefect.prefect_server(site.settings).pid(), schedule.schedule_service(site.settings).pid()] == before


def test_status_and_up_notice_another_cron_and_up_serves_it(site: Clocked) -> None:
    later = datetime.now(PARIS) + timedelta(hours=3)
    cron = f"{later:%M %H} * * *"
    assert site.up(CREDITLENS_CRON=cron)["schedule"] == {"outcome": "restarted"}
    status = site.status(CREDITLENS_CRON=cron)
    assert datetime.fromisoformat(status["next_night"]["at"]) == later.replace(second=0, microsecond=0)
    # The settings of who asks are others than those that are served.
    os.utime(site.settings.state / "schedule.pid", (0, 0))
    site.wait(lambda: site.status()["schedule"] == "different")
    (problem,) = site.status()["problems"]
    assert "CREDITLENS_CRON" in problem and f"{later:%H:%M} Europe/Paris" in problem
    done = site.command("up", "--no-dashboards", "--json")
    assert "CREDITLENS_CRON" in done.stderr
    assert site.status()["schedule"] == "active"


def test_another_folder_of_data_reaches_the_schedule(site: Clocked) -> None:
    other = site.folder / "other"
    (site.folder / "data").rename(other)
    try:
        done = site.command("up", "--no-dashboards", "--json", CREDITLENS_DATA=str(other))
        assert "the file of applications" in done.stderr
        command = schedule.schedule_service(site.settings).made_of()["the file of applications"]
        assert command == str(other / "application_test.csv")
    finally:
        other.rename(site.folder / "data")
    assert site.up()["schedule"] == {"outcome": "restarted"}


def test_an_older_program_is_started_anew_and_so_is_a_prefect_server_of_other_packages(
    site: Clocked, everything: bool
) -> None:
    server, service = prefect.prefect_server(site.settings), schedule.schedule_service(site.settings)
    for one, name in ((server, "packages"), (service, "the program")):
        pid = one.pid()
        assert pid is not None
        one._know(pid, {**one.made_of(), name: "older"})
    before = server.pid(), service.pid()
    assert any("another version of this program" in note for note in site.status()["notes"])
    assert site.up()["schedule"] == {"outcome": "restarted"}
    assert server.pid() not in {None, before[0]} and service.pid() not in {None, before[1]}
    if everything:
        # Else the test after this one shows it, with the same schedule.
        site.published(seed=104)


def test_after_the_prefect_server_was_killed_and_started_again_the_clock_starts_nights(
    site: Clocked, everything: bool
) -> None:
    server, pid = prefect.prefect_server(site.settings), schedule.schedule_service(site.settings).pid()
    site.kill(server)
    status = site.status()
    assert (status["schedule"], status["next_night"]) == ("no server", None)
    if everything:
        # So long that Prefect's own loop gives up.
        site.wait(lambda: "No night starts while" in schedule.schedule_service(site.settings).log.read_text(), 600)
    site.up()
    assert schedule.schedule_service(site.settings).pid() == pid, "The schedule lives on"
    site.published(seed=105)
    assert site.status()["problems"] == []


def test_nights_that_were_missed_are_caught_up_once_and_the_clock_goes_on(site: Clocked) -> None:
    service = schedule.schedule_service(site.settings)
    site.kill(service)
    killed, before = datetime.now(UTC), site.runs()
    site.write(seed=106)
    status = site.status()
    assert (status["schedule"], status["healthy"]) == ("stopped", False)

    def missed() -> list[dict[str, object]]:
        return [run for run in site.prefect_runs() if datetime.fromisoformat(run["expected_start_time"]) > killed]

    site.wait(lambda: len(missed()) >= 2)
    assert {run["state_type"] for run in missed()} == {"SCHEDULED"}
    # As a container would: the command that serves, and no `up`, which runs a night of its own.
    schedule.start_schedule(site.settings, site.file)
    site.wait(lambda: all(run["state_type"] == "COMPLETED" for run in missed()[:2]), 400)
    new = site.runs()[len(before) :]
    assert [run[1] for run in new] == ["published"], "One night is run, the others find its file unchanged"
    assert new[0][2] == datetime.now(PARIS).date()
    site.published(seed=107)
    assert site.status()["problems"] == []
