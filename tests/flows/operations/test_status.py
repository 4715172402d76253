"""Telling a monitor how things are, and somebody when a night went wrong: real processes, real receivers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from email import message_from_string
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from db.runs import ledger as run_ledger
from db.runs import pointer
from db.server.embedded import free_port
from flows.alerts import last_night, notify
from flows.operations import status
from flows.settings import Settings, SettingsError, load_settings
from tests.db import ledger
from tests.flows.cli.json_schema import checked
from tests.installation import Installation


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "flows.cli", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


def test_a_refused_night_is_told_by_webhook_and_mail_once(
    installation: Installation,
    webhook: tuple[str, list[dict[str, Any]]],
    mail: tuple[str, list[str]],
    tmp_path: Path,
) -> None:
    file = tmp_path / "applications.csv"
    file.write_text("SK_ID_CURR\n")
    done = command(
        "nightly", "--applications", str(file), "--json",
        CREDITLENS_NOTIFY_URL=webhook[0], CREDITLENS_SMTP_URL=mail[0], CREDITLENS_NOTIFY_EMAIL="ops@bank.example",
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    reason = checked("nightly", done.stdout)["message"]
    (told,) = webhook[1]
    assert (told["event"], told["message"]) == ("night_refused", reason)
    assert datetime.fromisoformat(told["at"]) > datetime.now(UTC) - timedelta(minutes=2)
    (sent,) = mail[1]
    parsed = message_from_string(sent)
    assert (parsed["To"], parsed["From"]) == ("ops@bank.example", "night@bank.example")
    assert "refused" in parsed["Subject"]
    night = last_night.last(installation.settings)
    assert night is not None
    assert (night.outcome, night.message) == ("refused", reason)


def test_a_file_that_is_not_there_is_told_too(
    installation: Installation, webhook: tuple[str, list[dict[str, Any]]]
) -> None:
    done = command("nightly", CREDITLENS_NOTIFY_URL=webhook[0])
    assert done.returncode == 2
    assert [told["event"] for told in webhook[1]] == ["night_refused"]


def test_that_nobody_can_be_told_never_hides_why_the_night_failed(
    installation: Installation, webhook: tuple[str, list[dict[str, Any]]]
) -> None:
    nowhere = free_port(None)
    done = command(
        "nightly", "--applications", "none.csv", "--json",
        CREDITLENS_DATABASE_URL=f"postgresql://x:y@127.0.0.1:{nowhere}/x",
        CREDITLENS_NOTIFY_URL=f"{webhook[0]}/broken?token=secret-token",
        CREDITLENS_SMTP_URL=f"smtp://user:secret-password@127.0.0.1:{nowhere}", CREDITLENS_NOTIFY_EMAIL="a@b",
    )  # fmt: skip
    assert done.returncode == 1
    assert "Connection refused" in json.loads(done.stdout)["message"]
    assert "by webhook that night_failed (HTTPError)" in done.stderr
    assert "by e-mail that night_failed (ConnectionRefusedError)" in done.stderr
    assert "secret" not in done.stderr and "Traceback" not in done.stderr
    assert len(webhook[1]) == 3


def test_a_receiver_that_stumbles_is_told_again(
    installation: Installation, webhook: tuple[str, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDITLENS_NOTIFY_URL", f"{webhook[0]}/broken-once")
    assert notify.tell(Settings(), "night_failed", "the reason") == []
    assert [told["message"] for told in webhook[1]] == ["the reason"] * 2


def test_a_night_that_finds_another_one_is_not_told(
    installation: Installation, webhook: tuple[str, list[dict[str, Any]]], files: tuple[Path, Path]
) -> None:
    with run_ledger.exclusive(installation.engine):
        done = command("nightly", "--applications", str(files[1]), CREDITLENS_NOTIFY_URL=webhook[0])
    assert done.returncode == 3
    assert webhook[1] == []


def test_the_disk_lasts_until_the_retention_is_full_and_then_by_scores_alone() -> None:
    lasting = status.days_until_full
    assert lasting(1_000, run_bytes=100, daily_bytes=1, missing_runs=0) == 900
    assert lasting(1_000, run_bytes=100, daily_bytes=1, missing_runs=5) == 5 + (900 - 5 * 101)
    assert lasting(300, run_bytes=100, daily_bytes=1, missing_runs=5) == 1
    assert lasting(50, run_bytes=100, daily_bytes=1, missing_runs=5) == 0
    assert lasting(10**15, run_bytes=100, daily_bytes=1, missing_runs=5) is None


@pytest.fixture(scope="module")
def published(installation: Installation) -> list[int]:
    model_id = ledger.new_model(installation.engine, "h")
    return [
        ledger.night(installation.engine, model_id, day=ledger.DAY + timedelta(days=day), sha256=str(day) * 64)
        for day in range(2)
    ]


def test_status_tells_age_growth_and_whether_readers_are_behind(
    installation: Installation, published: list[int]
) -> None:
    settings = installation.settings
    found = status.status_json(settings)
    assert found["healthy"] is True, found["problems"]
    assert 0 <= found["age_hours"] < 0.1
    disk = found["disk"]
    assert disk["database_bytes"] > disk["run_bytes"] * disk["retained_runs"] > 0
    assert found["notes"] == []
    pointer.move(installation.engine, published[0], by="olga")
    behind = status.status_json(settings)
    assert behind["healthy"] is True
    assert behind["published"]["run_id"] == published[0]
    assert f"the newest is run {published[1]}" in behind["notes"][0]
    assert "olga moved them" in behind["notes"][0]
    assert "Readers are on run" in status.status_text(behind)
    pointer.move(installation.engine, published[1], by="olga")


def test_a_night_refused_before_the_ledger_is_not_healthy_until_a_later_one_is_good(
    installation: Installation, published: list[int], tmp_path: Path
) -> None:
    assert command("status").returncode == 0
    file = tmp_path / "applications.csv"
    file.write_text("SK_ID_CURR\n")
    refused = command("nightly", "--applications", str(file), "--json")
    assert refused.returncode == 2
    reason = json.loads(refused.stdout)["message"]
    done = command("status", "--json")
    assert done.returncode == 1
    found = checked("status", done.stdout)
    assert found["last_run"]["status"] == "published"
    (problem,) = found["problems"]
    assert "last night was refused" in problem and reason in problem
    said = command("status").stdout
    assert "Last night  refused" in said and said.count(reason) == 1
    with last_night.accounted(installation.settings):
        pass
    assert command("status").returncode == 0
    # A night that another machine published counts too.
    assert command("nightly", "--applications", str(file)).returncode == 2
    assert status.status_json(installation.settings)["healthy"] is False
    model_id = ledger.new_model(installation.engine, "i")
    ledger.night(installation.engine, model_id, day=ledger.DAY + timedelta(days=2), sha256="i" * 64)
    assert status.status_json(installation.settings)["healthy"] is True


def test_a_run_that_failed_is_one_problem_until_a_later_night_is_good(
    installation: Installation, published: list[int]
) -> None:
    run_id = ledger.open_run(installation.engine, ledger.new_model(installation.engine, "j"))
    run_ledger.close_unpublished(installation.engine, run_id, status="failed", message="the reason")
    with pytest.raises(ValueError, match="the reason"), last_night.accounted(installation.settings):
        raise ValueError("the reason")
    assert status.status_json(installation.settings)["problems"] == [f"The last run ({run_id}) failed: the reason"]
    # Its file was found unchanged: no run, and all is well.
    with last_night.accounted(installation.settings):
        pass
    assert status.status_json(installation.settings)["problems"] == []


def test_an_old_publication_is_not_healthy(installation: Installation, published: list[int]) -> None:
    with installation.engine.begin() as connection:
        connection.execute(text("UPDATE credit.scoring_run SET published_at = published_at - interval '27 hours'"))
    done = command("status", "--json")
    assert done.returncode == 1
    assert "27 hours old; CREDITLENS_STALE_HOURS allows 26" in json.loads(done.stdout)["message"]
    assert command("status", CREDITLENS_STALE_HOURS="48").returncode == 0


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        (
            {"CREDITLENS_NOTIFY_URL": "ftp://host/x"},
            "NOTIFY_URL: should be an address that begins with http",
        ),
        (
            {"CREDITLENS_SMTP_URL": "mail.example"},
            "SMTP_URL: should be an address that begins with smtp",
        ),
        ({"CREDITLENS_NOTIFY_EMAIL": "a@b"}, "CREDITLENS_NOTIFY_EMAIL: an e-mail needs a mail server"),
    ],
)
def test_a_wrong_setting_is_named_and_not_repeated(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], said: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=said):
        load_settings()


def test_a_password_is_never_sent_in_the_clear_to_another_machine() -> None:
    assert notify._is_loopback("127.0.0.1") and notify._is_loopback("localhost") and notify._is_loopback("::1")
    assert not notify._is_loopback("10.0.0.1") and not notify._is_loopback("mail.example")


def test_nothing_is_sent_without_a_setting(installation: Installation) -> None:
    assert notify.tell(installation.settings, "night_failed", "x") == []
