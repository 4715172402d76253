"""The watch: somebody is told of a missing night and of a dead or paused schedule, by processes of their own."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from db.runs import ledger as run_ledger
from db.server.embedded import free_port
from flows.alerts import last_night
from flows.operations import schedule
from flows.operations import status as status_report
from flows.operations import watch as watching
from flows.services import prefect, processes
from flows.settings import Settings
from tests.db import ledger
from tests.installation import Installation


def with_webhook(installation: Installation, address: str, **more: object) -> Settings:
    return installation.settings.model_copy(
        update={"notify_url": Settings(notify_url=address).notify_url, **more}  # type: ignore[arg-type]
    )


def test_a_missing_night_is_told_by_the_watch_once(
    installation: Installation, webhook: tuple[str, list[dict[str, Any]]]
) -> None:
    settings = with_webhook(installation, webhook[0], night_grace_minutes=0)
    (settings.state / "night.json").unlink(missing_ok=True)
    stop, dues = threading.Event(), []

    def due_after(_: Settings, after: datetime) -> datetime:
        dues.append(after)
        return datetime.now(UTC) + timedelta(seconds=0.3 if len(dues) == 1 else 3600)

    thread = threading.Thread(
        target=watching.watch, args=(settings, stop), kwargs={"due_after": due_after, "seconds": 0.05}
    )
    thread.start()
    for _ in range(100):
        if webhook[1]:
            break
        stop.wait(0.1)
    stop.set()
    thread.join(timeout=10)
    assert not thread.is_alive()
    (told,) = webhook[1]
    assert told["event"] == "night_missing"
    assert told["message"].startswith("No night has ended since")


def test_a_night_that_ended_is_not_missing_and_one_that_hangs_is(
    installation: Installation, webhook: tuple[str, list[dict[str, Any]]]
) -> None:
    settings = with_webhook(installation, webhook[0])
    due = datetime.now(UTC) - timedelta(minutes=1)
    with last_night.accounted(settings):
        pass
    assert watching.require_ended(settings, due) is True
    (settings.state / "night.json").unlink()
    run_id = ledger.open_run(installation.engine, ledger.new_model(installation.engine))
    assert watching.require_ended(settings, due) is False
    assert f"{run_id} of" in webhook[1][0]["message"] and "running" in webhook[1][0]["message"]
    run_ledger.close_unpublished(installation.engine, run_id, status="failed", message="x")
    assert watching.require_ended(settings, due) is True


def test_the_next_night_is_the_schedules(installation: Installation) -> None:
    settings = installation.settings.model_copy(update={"cron": "30 2 * * *", "time_zone": "Europe/Paris"})
    due = watching.next_due(settings, datetime(2026, 1, 1, 1, 30, tzinfo=UTC))
    assert due == datetime(2026, 1, 2, 1, 30, tzinfo=UTC)


# --- the schedule ---------------------------------------------------------------------------------------------


def wait(happened: Callable[[], object], what: Callable[[], object], seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, what()
        time.sleep(0.2)


def answered(ask: Callable[[], httpx.Response]) -> None:
    """Ask Prefect until it answers: while its database is busy it says 503, which asks for a second try."""
    answers: list[httpx.Response] = []

    def not_busy() -> bool:
        answers.append(ask())
        return answers[-1].status_code != httpx.codes.SERVICE_UNAVAILABLE

    wait(not_busy, lambda: answers[-1].text)
    answers[-1].raise_for_status()


@pytest.fixture
def settings(
    installation: Installation, webhook: tuple[str, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """Settings, and an environment, that name the webhook."""
    monkeypatch.setenv("CREDITLENS_NOTIFY_URL", webhook[0])
    return Settings()


@pytest.fixture
def served(settings: Settings, files: tuple[Path, Path]) -> Iterator[Callable[[], schedule.Standing]]:
    """A schedule that a process serves and that was not started just now; asks how it stands."""

    def standing() -> schedule.Standing:
        return schedule.standing(settings, prefect.prefect_url(settings))

    schedule.start_schedule(settings, files[1])
    service = schedule.schedule_service(settings)
    try:
        assert standing().problem is None
        wait(lambda: standing().state == "active", service.log.read_text)
        long_ago = time.time() - 2 * schedule.START_SECONDS
        os.utime(settings.state / "schedule.pid", (long_ago, long_ago))
        yield standing
    finally:
        service.stop()


def test_a_schedule_that_is_paused_switched_off_or_unknown_to_prefect_is_not_healthy_and_told_once(
    settings: Settings,
    served: Callable[[], schedule.Standing],
    webhook: tuple[str, list[dict[str, Any]]],
) -> None:
    api = prefect.prefect_url(settings)
    name = f"{schedule.FLOW}/{schedule.deployment_name(settings)}"
    found = httpx.get(f"{api}/deployments/name/{name}").raise_for_status().json()
    deployment, cron = f"{api}/deployments/{found['id']}", found["schedules"][0]["id"]
    troubles: dict[str, tuple[Callable[[], httpx.Response], Callable[[], httpx.Response] | None]] = {
        "paused": (
            lambda: httpx.post(f"{deployment}/pause_deployment"),
            lambda: httpx.post(f"{deployment}/resume_deployment"),
        ),
        "inactive": (
            lambda: httpx.patch(f"{deployment}/schedules/{cron}", json={"active": False}),
            lambda: httpx.patch(f"{deployment}/schedules/{cron}", json={"active": True}),
        ),
        "missing": (lambda: httpx.delete(deployment), None),
    }
    stop = threading.Event()
    thread = threading.Thread(target=watching.watch, args=(settings, stop), kwargs={"seconds": 0.02})
    thread.start()
    try:
        for number, (state, (trouble, cure)) in enumerate(troubles.items(), start=1):
            wait(lambda: served().state == "active", served)
            answered(trouble)
            status = status_report.status_json(settings)
            assert (status["schedule"], status["healthy"]) == (state, False)
            assert any("no night starts" in problem for problem in status["problems"])
            wait(lambda due=number: len(webhook[1]) >= due, lambda: webhook[1])
            assert webhook[1][-1]["event"] == "schedule_down"
            assert webhook[1][-1]["message"] in status["problems"]
            stop.wait(1)
            assert len(webhook[1]) == number
            if cure:
                answered(cure)
    finally:
        stop.set()
        thread.join(timeout=10)
    assert not thread.is_alive()


def test_somebody_is_told_of_a_schedule_that_was_killed_by_a_process_that_was_not(
    settings: Settings,
    served: Callable[[], schedule.Standing],
    webhook: tuple[str, list[dict[str, Any]]],
) -> None:
    watching.start_watch(settings)
    watch = watching.watch_service(settings)
    try:
        wait(lambda: "Watching the nights" in watch.log.read_text(), watch.log.read_text)
        pid = schedule.schedule_service(settings).pid()
        assert pid is not None
        os.killpg(pid, signal.SIGKILL)
        wait(lambda: webhook[1], watch.log.read_text)
        (told,) = webhook[1]
        assert told["event"] == "schedule_down"
        assert "schedule's process has ended by itself" in told["message"]
        status = status_report.status_json(settings)
        assert (status["schedule"], status["watch_pid"]) == ("stopped", watch.pid())
        assert told["message"] in status["problems"]
        os.kill(status["watch_pid"], signal.SIGKILL)
        wait(watch.died, watch.log.read_text)
        assert any("watch has ended by itself" in said for said in status_report.status_json(settings)["problems"])
    finally:
        watch.stop()


def test_nobody_watches_where_nobody_is_to_be_told(installation: Installation) -> None:
    watching.start_watch(installation.settings)
    assert watching.watch_service(installation.settings).since() is None


def test_a_schedule_of_another_container_is_judged_by_what_prefect_says(
    settings: Settings, served: Callable[[], schedule.Standing]
) -> None:
    service, file = schedule.schedule_service(settings), settings.state / "schedule.pid"
    known = file.read_text()
    changed = file.stat().st_mtime
    # Process ids of another container mean nothing here, be they of nobody or of somebody.
    file.write_text(json.dumps({**json.loads(known), "pid": 2**22 - 1, "namespace": "pid:[1]"}))
    os.utime(file, (changed, changed))
    try:
        assert (service.pid(), service.died(), service.elsewhere()) == (None, False, True)
        assert served().state == "active"
    finally:
        file.write_text(known)


@pytest.fixture
def unplanned(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: tuple[Path, Path]
) -> Iterator[Settings]:
    """A schedule that a process serves from a Prefect server that plans nothing."""
    monkeypatch.setenv("CREDITLENS_STATE", str(tmp_path))
    monkeypatch.setenv("CREDITLENS_PREFECT_PORT", str(free_port(None)))
    monkeypatch.setenv("PREFECT_SERVER_SERVICES_SCHEDULER_ENABLED", "false")
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setattr(schedule, "START_SECONDS", 1.0)
    monkeypatch.setattr(schedule, "PLANNING_SECONDS", 1.0)
    mine = Settings()
    prefect.start_prefect(mine)
    try:
        prefect.wait_for_prefect(mine)
        schedule.start_schedule(mine, files[1])
        yield mine
    finally:
        schedule.schedule_service(mine).stop()
        prefect.prefect_server(mine).stop()


def test_a_schedule_for_which_prefect_plans_no_night_is_not_healthy_and_told_once(
    unplanned: Settings, webhook: tuple[str, list[dict[str, Any]]]
) -> None:
    def state() -> str:
        return schedule.standing(unplanned, prefect.prefect_url(unplanned)).state

    wait(lambda: state() == "unplanned", schedule.schedule_service(unplanned).log.read_text)
    with pytest.raises(processes.ServiceError, match="planned no night"):
        schedule.wait_for_plan(unplanned)
    found = status_report.status_json(unplanned)
    assert (found["schedule"], found["next_night"], found["healthy"]) == ("unplanned", None, False)
    assert "Next night  none is planned" in status_report.status_text(found)
    watch = watching.ScheduleWatch(unplanned)
    for _ in range(2 * watching.USUAL_LOOKS):
        watch.look()
    (told,) = webhook[1]
    assert (told["event"], told["message"]) == ("schedule_down", found["problems"][-1])


def test_a_plan_that_is_not_that_of_the_settings_is_told(
    settings: Settings,
    served: Callable[[], schedule.Standing],
    webhook: tuple[str, list[dict[str, Any]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(schedule, "START_SECONDS", 0.0)
    wait(lambda: served().next_night is not None, served)
    planned = served().next_night
    assert planned is not None and planned == watching.next_due(settings, datetime.now(UTC))
    for changed in ({"cron": "31 2 * * *"}, {"time_zone": "Asia/Tokyo"}):
        other = settings.model_copy(update=changed)
        found = status_report.status_json(other)
        assert (found["schedule"], found["healthy"]) == ("different", False)
        assert datetime.fromisoformat(found["next_night"]["at"]) == planned
        assert found["next_night"]["time_zone"] == other.time_zone
        (problem,) = [one for one in found["problems"] if "CREDITLENS_CRON" in one]
        watch = watching.ScheduleWatch(other)
        for _ in range(2 * watching.USUAL_LOOKS):
            watch.look()
        assert (webhook[1][-1]["event"], webhook[1][-1]["message"]) == ("schedule_different", problem)
    assert len(webhook[1]) == 2


def test_a_night_that_is_further_away_than_prefect_plans_is_no_problem() -> None:
    settings = Settings(cron="0 3 1 1 *", time_zone="UTC")
    deployment = {"schedules": [{"active": True, "schedule": {"cron": "0 3 1 1 *", "timezone": "UTC"}}]}
    found = schedule._of_plan(settings, deployment, None, datetime(2026, 6, 1, tzinfo=UTC))
    assert (found.state, found.problem, found.next_night) == ("active", None, datetime(2027, 1, 1, 3, tzinfo=UTC))
    assert schedule._of_plan(settings, deployment, None, datetime(2026, 12, 1, tzinfo=UTC)).state == "unplanned"


def test_a_deployment_that_nobody_asks_for_is_not_served() -> None:
    deployment = {"paused": False, "schedules": [{"active": True}], "status": "NOT_READY"}
    assert schedule._of_deployment(deployment).state == "unserved"
