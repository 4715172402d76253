"""The scheduler is killed: somebody hears of it, missed nights are caught up once, the schedule is active again."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from db.runs import ledger
from flows.operations import schedule, status
from flows.services import prefect
from flows.settings import Settings
from tests.faults.conftest import Site, need

pytestmark = pytest.mark.timeout(400)


def ask(path: str, body: object) -> Any:
    """POST to the Prefect server's API."""
    return schedule._ask(f"{os.environ['PREFECT_API_URL']}/{path}", body)


def served() -> dict[str, Any] | None:
    """The deployment, once it is registered."""
    name = schedule.deployment_name(Settings())
    found = [deployment for deployment in ask("deployments/filter", {}) if deployment["name"] == name]
    return found[0] if found else None


def states(flow_runs: list[str]) -> list[str]:
    found = ask("flow_runs/filter", {"flow_runs": {"id": {"any_": flow_runs}}})
    return sorted(run["state_type"] for run in found)


def start(log: Path, *arguments: str, within: tuple[str, ...] = (), **environment: str) -> subprocess.Popen[bytes]:
    """A `creditlens` command as a process of its own."""
    with log.open("w") as output:
        return subprocess.Popen(
            [*within, sys.executable, "-m", "flows.cli", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, **environment},
        )


def start_schedule(file: Path, log: Path, within: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
    return start(log, "schedule", "--applications", str(file), within=within)


def kill(process: subprocess.Popen[bytes]) -> None:
    """The process and whatever it runs."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def wait(happened: Callable[[], object], log: Path, seconds: float = 200) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


def test_missed_nights_are_caught_up_once(site: Site, tmp_path: Path, everything: bool) -> None:
    log, nights = tmp_path / "log", 3 if everything else 2
    scheduler = start_schedule(site.files[0], log)
    try:
        wait(served, log)
    finally:
        kill(scheduler)
    deployment = served()
    assert deployment is not None
    # What Prefect's server had planned, and nobody ran.
    missed = [
        ask(
            f"deployments/{deployment['id']}/create_flow_run",
            {
                "state": {
                    "type": "SCHEDULED",
                    "name": "Late",
                    "state_details": {"scheduled_time": (datetime.now(UTC) - timedelta(days=night)).isoformat()},
                }
            },
        )["id"]
        for night in range(nights, 0, -1)
    ]
    assert states(missed) == ["SCHEDULED"] * nights
    before = ledger.latest(site.installation.engine)
    scheduler = start_schedule(site.files[0], log)
    try:
        started = time.monotonic()
        wait(lambda: states(missed) == ["COMPLETED"] * nights, log)
        print(f"caught up {time.monotonic() - started:.0f} s after the start")
        deployment = served()
        assert deployment is not None
        assert deployment["paused"] is False
        assert [schedule["active"] for schedule in deployment["schedules"]] == [True]
    finally:
        kill(scheduler)
    published = site.installation.rows(
        f"SELECT status FROM credit.scoring_run WHERE run_id > {before.run_id if before else 0}"
    )
    assert published == [("published",)], "One night is run, the others find its file unchanged"
    assert "Traceback" not in log.read_text()


@pytest.mark.parametrize("moment", ["just begun", "active"])
@pytest.mark.parametrize(("number", "state"), [(signal.SIGINT, "off"), (signal.SIGTERM, "stopped")])
def test_a_schedule_is_off_after_ctrl_c_and_missed_after_any_other_end(
    site: Site, tmp_path: Path, number: signal.Signals, state: str, moment: str
) -> None:
    log, settings = tmp_path / "log", site.installation.settings
    service = schedule.schedule_service(settings)

    def begun() -> bool:
        found = schedule.standing(settings, prefect.prefect_url(settings)).state
        return found == "active" if moment == "active" else service.pid() is not None

    scheduler = start_schedule(site.files[0], log)
    try:
        wait(begun, log)
        scheduler.send_signal(number)
        scheduler.wait(60)
        assert "Traceback" not in log.read_text()
        assert schedule.standing(settings, prefect.prefect_url(settings)).state == state
    finally:
        if scheduler.poll() is None:
            kill(scheduler)
        service._file.unlink(missing_ok=True)


@pytest.mark.whole
def test_of_a_killed_scheduler_in_another_container_and_its_missing_night_somebody_is_told(
    site: Site, tmp_path: Path, webhook: tuple[str, list[dict[str, Any]]]
) -> None:
    need(os.geteuid() == 0 and shutil.which("unshare"), "Only root with unshare can make another container.")
    log, watched = tmp_path / "log", tmp_path / "watched"
    settings = site.installation.settings

    def state() -> str:
        return schedule.standing(settings, prefect.prefect_url(settings)).state

    # A list of processes of its own is what makes a container another one to us.
    scheduler = start_schedule(site.files[0], log, ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc"))
    watch = None
    try:
        wait(lambda: state() == "active", log)
        assert schedule.schedule_service(settings).elsewhere()
        # Due every minute, and missed at once.
        watch = start(
            watched, "watch",
            CREDITLENS_NOTIFY_URL=webhook[0], CREDITLENS_CRON="* * * * *", CREDITLENS_NIGHT_GRACE_MINUTES="0",
        )  # fmt: skip
        wait(lambda: "Watching the nights" in watched.read_text(), watched)
        killed = time.monotonic()
        kill(scheduler)
        wait(lambda: "night_missing" in {told["event"] for told in webhook[1]}, watched)
        print(f"told of a missing night {time.monotonic() - killed:.0f} s after the kill")
        wait(lambda: "schedule_down" in {told["event"] for told in webhook[1]}, watched, seconds=260)
        print(f"told that no night will start {time.monotonic() - killed:.0f} s after the kill")
        assert state() == "unserved"
        told = [told["message"] for told in webhook[1] if told["event"] == "schedule_down"]
        assert len(told) == 1 and "Nobody has asked Prefect for nights" in told[0]
        assert any("Nobody has asked" in problem for problem in status.status_json(settings)["problems"])
    finally:
        for process in (scheduler, watch):
            if process and process.poll() is None:
                kill(process)
        (settings.state / "schedule.pid").unlink(missing_ok=True)
