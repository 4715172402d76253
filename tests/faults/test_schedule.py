"""The scheduler was killed and off for three nights: it catches up once, nothing piles up, it is active again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from db import runs
from tests.faults.conftest import Site

pytestmark = pytest.mark.timeout(400)


def ask(path: str, body: object) -> Any:
    """POST to the Prefect server's API."""
    request = urllib.request.Request(
        f"{os.environ['PREFECT_API_URL']}/{path}",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as response:
        return json.load(response)


def served() -> dict[str, Any] | None:
    """The deployment, once it is registered."""
    found = [deployment for deployment in ask("deployments/filter", {}) if deployment["name"] == "every-night"]
    return found[0] if found else None


def states(flow_runs: list[str]) -> list[str]:
    found = ask("flow_runs/filter", {"flow_runs": {"id": {"any_": flow_runs}}})
    return sorted(run["state_type"] for run in found)


def start_schedule(file: Path, log: Path) -> subprocess.Popen[bytes]:
    """`creditlens schedule` as a process of its own."""
    with log.open("w") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "flows.cli", "schedule", "--applications", str(file)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def kill(process: subprocess.Popen[bytes]) -> None:
    """The scheduler and whatever it runs."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def wait(happened: Callable[[], object], log: Path, seconds: float = 200) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.5)


def test_three_missed_nights_are_caught_up_once(site: Site, tmp_path: Path) -> None:
    log = tmp_path / "log"
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
        for night in (3, 2, 1)
    ]
    assert states(missed) == ["SCHEDULED"] * 3
    before = runs.latest(site.installation.engine)
    scheduler = start_schedule(site.files[0], log)
    try:
        started = time.monotonic()
        wait(lambda: states(missed) == ["COMPLETED"] * 3, log)
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
