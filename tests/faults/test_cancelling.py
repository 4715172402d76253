"""A night of the schedule is cancelled in Prefect, or the schedule is stopped under it: closed and told at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from db.engine import psql_url
from flows.alerts import last_night
from flows.operations import schedule
from tests.faults.conftest import Site
from tests.faults.watch import Watch

pytestmark = pytest.mark.timeout(900)
SENTENCE = "Ended by SIGTERM; nothing was published."


def ask(path: str, content: dict[str, Any]) -> Any:
    request = urllib.request.Request(
        f"{os.environ['PREFECT_API_URL']}/{path}",
        json.dumps(content).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)


def wait(happened: Callable[[], object], log: Path, seconds: float = 300) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := happened()):
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)
    return found


@pytest.fixture
def watch(site: Site) -> Iterator[Watch]:
    made = Watch(site.installation.engine)
    made.begin()
    yield made
    made.close()


@contextmanager
def stuck_in_its_audit(site: Site) -> Iterator[None]:
    """Nights wait for a lock as long as the block is."""
    with psycopg.connect(psql_url(site.installation.engine.url)) as connection:
        connection.execute("LOCK TABLE credit.run_check IN ACCESS EXCLUSIVE MODE")
        yield


@pytest.mark.parametrize("how", ["cancelled in Prefect", "the schedule is stopped"])
def test_a_night_of_the_schedule_that_is_ended_closes_its_run_and_is_told(
    site: Site, watch: Watch, tmp_path: Path, webhook: tuple[str, list[dict[str, Any]]], how: str
) -> None:
    before, log = watch.look().newest or 0, tmp_path / "log"
    with log.open("w") as output:
        service = subprocess.Popen(
            [sys.executable, "-m", "flows.cli", "schedule", "--applications", str(site.files[0])],
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            env={**os.environ, "CREDITLENS_NOTIFY_URL": webhook[0]},
        )  # fmt: skip
    background = schedule.schedule_service(site.installation.settings)
    try:
        with stuck_in_its_audit(site):
            ready = lambda: [d for d in ask("deployments/filter", {}) if d["status"] == "READY"]  # noqa: E731
            (deployment,) = wait(ready, log)
            run = ask(f"deployments/{deployment['id']}/create_flow_run", {"state": {"type": "SCHEDULED"}})
            waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%run_check%'"
            wait(lambda: site.installation.value(waiting), log)
            asked = time.monotonic()
            if how == "cancelled in Prefect":
                ask(f"flow_runs/{run['id']}/set_state", {"state": {"type": "CANCELLING"}})
            else:
                assert background.stop()
            run_id = watch.look().newest
            query = f"SELECT message FROM credit.scoring_run WHERE run_id = {run_id} AND status = 'failed'"
            assert wait(lambda: site.installation.value(query), log) == SENTENCE
            closed = time.monotonic() - asked
        assert run_id > before
        # The tables go after the run is closed, one by one.
        tables = f"SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relname ~ '_r{run_id:08d}$'"
        wait(lambda: site.installation.value(tables) == 0, log)
        wait(lambda: webhook[1], log)
        assert [(told["event"], told["message"]) for told in webhook[1]] == [("night_failed", SENTENCE)]
        noted = last_night.last(site.installation.settings)
        assert noted is not None and (noted.outcome, noted.message) == ("failed", SENTENCE)
        final = {"CANCELLED", "CRASHED", "FAILED", "COMPLETED"}
        states = lambda: ask("flow_runs/filter", {"flow_runs": {"id": {"any_": [run["id"]]}}})  # noqa: E731
        state = wait(lambda: next(({r["state_type"]} & final for r in states()), None), log)
        print(f"{how}: closed after {closed:.1f} s, and {state} in Prefect")
        assert state == {"CANCELLED"}
    finally:
        if service.poll() is None:
            service.terminate()
        service.wait(60)
