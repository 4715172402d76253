"""Errors in the services' logs are counted, unless they are expected, old, or from before the service's start."""

from __future__ import annotations

import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from flows.operations import status as status_report
from flows.operations import watch as watching
from flows.services import log_errors, logs, prefect
from flows.settings import Settings
from tests.installation import Installation

TRACEBACK = 'Traceback (most recent call last):\n  File "x.py", line 1, in f\n    g()\nValueError: no such zone'


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "postgres").mkdir()
    return Settings(state=tmp_path)


def stamp(ago: timedelta = timedelta(minutes=5)) -> str:
    """A time as Python's logs have it, on this computer's clock."""
    return f"{datetime.now().astimezone() - ago:%Y-%m-%d %H:%M:%S}"


def started(ago: timedelta = timedelta(minutes=10)) -> str:
    return f"{logs.STARTED} {datetime.now(UTC) - ago:%Y-%m-%d %H:%M:%S} UTC: prefect-server\n"


def write(settings: Settings, text: str, name: str = "the Prefect server") -> Path:
    path = log_errors.logs(settings)[name]
    path.write_text(text)
    return path


def test_what_an_error_line_and_its_traceback_say_counts_once(settings: Settings) -> None:
    line = f"{stamp()}.626 | ERROR   | prefect.server.services.scheduler - Error scheduling deployment"
    path = write(settings, f"{started()}\n{line}\n{TRACEBACK}\n\n{line} again\n{TRACEBACK}\n")
    (found,) = log_errors.look(settings)
    assert (found.service, found.count, found.log) == ("the Prefect server", 2, str(path))
    assert found.first.endswith("Error scheduling deployment")
    assert "2 errors" in found.sentence and "Error scheduling" in found.sentence


@pytest.mark.parametrize(
    ("service", "line", "first"),
    [
        ("Superset", "{0},123:ERROR:superset.views.base:no such chart", "no such chart"),
        ("Superset", "[{0} +0000] [17] [CRITICAL] WORKER TIMEOUT (pid:18)", "WORKER TIMEOUT"),
        ("Postgres", "{0}.123 UTC [17] PANIC:  could not write to file", "PANIC:  could not write to file"),
        ("Postgres", "{0}.123 UTC [17] creditlens_writer@creditlens ERROR:  no such column", "no such column"),
        ("watch", TRACEBACK, "ValueError: no such zone"),
        ("schedule", "{0}.123 | ERROR   | prefect.runner - Process for flow run exited with status code: -9", "-9"),
        ("schedule", "Failed the last 3 attempts.\n\n" + TRACEBACK, "ValueError: no such zone"),
    ],
)
def test_each_service_has_its_own_way_to_say_error(
    settings: Settings, service: str, line: str, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    try:
        write(settings, f"{started()}{line.format(stamp())}\n", service)
        (found,) = log_errors.look(settings)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert found.count == 1
    assert first in found.first


@pytest.mark.parametrize(
    "line",
    [
        "{0}.123 | WARNING | prefect - ERROR is only a word here",
        "{0}.123 | INFO    | prefect - no ERRORS",
        "{0}.123 UTC [17] LOG:  checkpoint starting",
    ],
)
def test_a_line_that_only_mentions_errors_is_none(settings: Settings, line: str) -> None:
    write(settings, f"{started()}{line.format(stamp())}\n")
    assert [one.first for one in log_errors.look(settings) if "only a word" not in one.first] == []


def test_what_was_before_the_start_of_the_service_or_a_day_ago_is_forgotten(settings: Settings) -> None:
    line = "{}.626 | ERROR   | prefect.server - of old\n"
    old = line.format(stamp(timedelta(hours=25)))
    write(settings, started(timedelta(hours=30)) + old + TRACEBACK + "\n")
    assert log_errors.look(settings) == []
    write(
        settings,
        started(timedelta(hours=30)) + line.format(stamp()) + TRACEBACK + "\n" + started(timedelta(minutes=1)),
    )
    assert log_errors.look(settings) == []
    write(settings, started(timedelta(hours=30)) + old + line.format(stamp()))
    assert [one.count for one in log_errors.look(settings)] == [1]


def test_errors_are_found_where_a_long_log_was_moved_to(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(settings, f"{started()}{stamp()}.626 | ERROR   | prefect.server - moved\n")
    monkeypatch.setattr(logs, "LARGEST_BYTES", path.stat().st_size - 1)
    assert logs.bound(path)
    assert path.read_text() == ""
    path.write_text(f"{stamp()}.700 | ERROR   | prefect.server - new\n")
    (found,) = log_errors.look(settings)
    assert (found.count, found.first.endswith("moved")) == (2, True)


def test_every_expected_error_has_a_reason_and_is_not_told(settings: Settings) -> None:
    assert all(len(one.reason) > 10 and one.service in log_errors.logs(settings) for one in log_errors.EXPECTED)
    now = stamp()
    night = "Flow run 'a-b' - Encountered exception during execution: X"
    socket = "prefect.FlowRunCancellingObserver - The FlowRunCancellingObserver websocket failed with an exception."
    write(
        settings,
        f"{started()}{now}.1 | ERROR   | {night}\n{TRACEBACK}\n{now}.2 | WARNING | {socket}\n{TRACEBACK}\n",
        "schedule",
    )
    write(
        settings,
        f"{now} UTC [1] LOG:  starting PostgreSQL 18.4\n"
        f'{now} UTC [1] creditlens_analyst@creditlens ERROR:  relation "x" does not exist\n'
        f"{now} UTC [1] postgres@postgres ERROR:  canceling statement due to user request\n"
        f"{now} UTC [1] creditlens_writer@creditlens FATAL:  terminating connection due to administrator command\n"
        f'{now} UTC [1] nobody@creditlens FATAL:  password authentication failed for user "nobody"\n',
        "Postgres",
    )
    assert log_errors.look(settings) == []


def test_a_service_that_fails_is_a_problem_for_status_and_the_watch_tells_once(
    installation: Installation, webhook: tuple[str, list[dict[str, Any]]]
) -> None:
    """A real service, whose log nobody but us reads."""
    settings = installation.settings.model_copy(update={"notify_url": Settings(notify_url=webhook[0]).notify_url})
    service = prefect.prefect_server(settings)
    program = (
        "import logging; logging.basicConfig(format='%(asctime)s %(levelname)s %(message)s'); logging.error('of 7')"
    )
    service.start([sys.executable, "-c", program + "; raise ValueError('no such zone')"], {})
    deadline = time.monotonic() + 30
    while (
        not (found := log_errors.look(settings))
        or found[0].count < 1
        or "no such zone" not in service.log.read_text()
    ):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    status = status_report.status_json(settings)
    assert status["healthy"] is False
    assert [one["service"] for one in status["errors"]] == ["the Prefect server"]
    assert any("ERROR of 7" in problem and str(service.log) in problem for problem in status["problems"])
    watch, stop = watching.ErrorWatch(settings), threading.Event()
    for _ in range(3):
        watch.look()
        with service.log.open("a") as file:
            file.write(f"{stamp()} ERROR once more\n")
        stop.wait(0.01)
    (told,) = webhook[1]
    assert told["event"] == "service_errors"
    # What the error is about may be a customer.
    assert "of 7" not in str(told) and "creditlens status" in told["message"]
    service.stop()
    # It is mended: the service that is started now has none, and the next error is told again.
    service.start([sys.executable, "-c", "print('well')"], {})
    watch.look()
    assert not any("error" in problem for problem in status_report.status_json(settings)["problems"])
    with service.log.open("a") as file:
        file.write(f"{stamp()} ERROR another\n")
    watch.look()
    assert len(webhook[1]) == 2
    service.stop()
