"""The services that run in the background, started for real."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from db.embedded import free_port
from flows import services
from flows.settings import Settings

Finished = Callable[[timedelta], str]


@pytest.fixture
def finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Finished]:
    """Puts a run that ended so long ago into a Prefect server that cleans up every second; gives its address."""
    monkeypatch.setenv("CREDITLENS_STATE", str(tmp_path))
    monkeypatch.setenv("CREDITLENS_PREFECT_PORT", str(free_port(None)))
    monkeypatch.setenv("PREFECT_SERVER_SERVICES_DB_VACUUM_LOOP_SECONDS", "1")
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    settings = Settings()
    services.start_prefect(settings)
    try:
        url = services.wait_for_prefect(settings)
        flow = made(f"{url}/flows/", {"name": "nightly"})

        def put(ago: timedelta) -> str:
            key = made(f"{url}/flow_runs/", {"flow_id": flow, "state": {"type": "COMPLETED"}})
            ended = (datetime.now(UTC) - ago).replace(tzinfo=None)
            # The interface lets nobody say when a run ended.
            with closing(sqlite3.connect(tmp_path / "prefect" / "prefect.db", timeout=30)) as database, database:
                change = "UPDATE flow_run SET end_time = ? WHERE id = ?"
                assert database.execute(change, (ended.isoformat(" "), key)).rowcount == 1
            return f"{url}/flow_runs/{key}"

        yield put
    finally:
        services.prefect_server(settings).stop()


def made(address: str, content: dict[str, Any]) -> str:
    """The number of what was made; while its database is locked, the server says 503."""
    deadline = time.monotonic() + 60
    while (answer := httpx.post(address, json=content, timeout=30)).status_code == 503:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return str(answer.raise_for_status().json()["id"])


def test_prefect_forgets_runs_after_a_season_and_keeps_those_of_last_month(finished: Finished) -> None:
    recent = finished(timedelta(days=30))
    old = finished(timedelta(days=100))
    deadline = time.monotonic() + 60
    while httpx.get(old, timeout=30).status_code != 404 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert (httpx.get(old, timeout=30).status_code, httpx.get(recent, timeout=30).status_code) == (404, 200)
