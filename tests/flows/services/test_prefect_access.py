"""A Prefect server that asks for a password: schedule, status and watch give it, and say so where it is wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from db.server.embedded import free_port
from flows.operations import schedule
from flows.operations import watch as watching
from flows.services import prefect, processes
from flows.services.processes import ServiceError
from flows.settings import Settings

PASSWORD = "admin:a-long-password"


@pytest.fixture(scope="module")
def closed_prefect(open_folder: Path) -> Iterator[str]:
    """The address of a Prefect server with a password, of another installation."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("PREFECT_API_URL", prefect.OWN_PREFECT):
            patch.delenv(name, raising=False)
        patch.setenv("PREFECT_SERVER_API_AUTH_STRING", PASSWORD)
        patch.setenv("PREFECT_API_AUTH_STRING", PASSWORD)
        # Whoever set this meant another server.
        patch.setenv("PREFECT_SERVER_API_HOST", "0.0.0.0")
        settings = Settings(state=open_folder / "closed-prefect", prefect_port=free_port(None))
        prefect.start_prefect(settings)
        try:
            yield prefect.wait_for_prefect(settings)
        finally:
            prefect.prefect_server(settings).stop()


@pytest.fixture
def settings(
    closed_prefect: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, webhook: tuple[str, list[dict[str, Any]]]
) -> Settings:
    """An installation that uses the server and knows its password."""
    monkeypatch.delenv(prefect.OWN_PREFECT, raising=False)
    monkeypatch.setenv("PREFECT_API_URL", closed_prefect)
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", PASSWORD)
    monkeypatch.setenv("CREDITLENS_STATE", str(tmp_path))
    monkeypatch.setenv("CREDITLENS_NOTIFY_URL", webhook[0])
    return Settings()


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "flows.cli", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )


def test_the_schedule_is_served_and_known_and_a_wrong_password_is_told(
    settings: Settings, closed_prefect: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    webhook: tuple[str, list[dict[str, Any]]],
) -> None:  # fmt: skip
    file = tmp_path / "application_test.csv"
    file.touch()
    schedule.start_schedule(settings, file)
    service = schedule.schedule_service(settings)
    try:
        assert schedule.wait_for_plan(settings) is not None, service.log.read_text()
        found = json.loads(command("status", "--json").stdout)
        assert (found["schedule"], found["prefect_url"]) == ("active", closed_prefect)
        assert found["next_night"] is not None
        assert schedule.start_schedule(settings, file) == "unchanged"

        monkeypatch.setenv("PREFECT_API_AUTH_STRING", "admin:wrong")
        assert schedule.differences(service.made_of(), schedule.made_of(settings, file)) == [
            "PREFECT_API_AUTH_STRING"
        ]
        found = json.loads(command("status", "--json").stdout)
        assert (found["schedule"], found["healthy"]) == ("refused", False)
        (problem,) = [one for one in found["problems"] if "PREFECT_API_AUTH_STRING" in one]
        assert closed_prefect in problem and "wrong" not in problem
        watch = watching.ScheduleWatch(settings)
        for _ in range(2 * watching.USUAL_LOOKS):
            watch.look()
        assert [told["message"] for told in webhook[1]] == [problem]
    finally:
        service.stop()


@pytest.mark.parametrize(
    ("given", "words"), [(None, "asks for a password"), ("admin:wrong", "refuses our password")]
)
def test_a_command_without_the_password_ends_in_one_sentence(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str | None, words: str
) -> None:
    if given is None:
        monkeypatch.delenv("PREFECT_API_AUTH_STRING")
    else:
        monkeypatch.setenv("PREFECT_API_AUTH_STRING", given)
    file = tmp_path / "application_test.csv"
    file.touch()
    done = command("schedule", "-a", str(file))
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert words in line and "PREFECT_API_AUTH_STRING" in line
    with pytest.raises(ServiceError, match=words):
        processes.require_access(os.environ["PREFECT_API_URL"])


def test_the_local_server_listens_on_loopback_only_whatever_prefects_own_settings_say(closed_prefect: str) -> None:
    port = int(closed_prefect.rsplit(":", 1)[1].removesuffix("/api"))
    deadline = time.monotonic() + 30
    while not (
        found := [
            one.laddr.ip
            for one in psutil.net_connections("tcp")
            if one.status == psutil.CONN_LISTEN and one.laddr.port == port
        ]
    ):
        assert time.monotonic() < deadline
    assert found == ["127.0.0.1"]
