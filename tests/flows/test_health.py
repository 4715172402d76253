"""Telling a monitor how things are, and somebody when a night went wrong: real processes, real receivers."""

from __future__ import annotations

import json
import os
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_string
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from db import pointer, runs
from db.embedded import free_port
from flows import health, nights, notify
from flows.settings import Settings, SettingsError, load_settings
from tests.db import ledger
from tests.installation import Installation


@pytest.fixture
def webhook() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A receiver of JSON on loopback: its address and what it got."""
    got: list[dict[str, Any]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(500 if self.path.startswith("/broken") else 204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", got
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def mail() -> Iterator[tuple[str, list[str]]]:
    """A mail server on loopback that speaks just enough SMTP: its address and the mails it got."""
    got: list[str] = []

    class Session(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 here\r\n")
            while line := self.rfile.readline().strip().upper():
                if line.startswith(b"EHLO"):
                    self.wfile.write(b"250-here\r\n250 AUTH PLAIN\r\n")
                elif line.startswith(b"AUTH"):
                    self.wfile.write(b"235 welcome\r\n")
                elif line == b"DATA":
                    self.wfile.write(b"354 go on\r\n")
                    lines = []
                    while (part := self.rfile.readline()) not in (b".\r\n", b""):
                        lines.append(part.decode())
                    got.append("".join(lines))
                    self.wfile.write(b"250 taken\r\n")
                elif line == b"QUIT":
                    self.wfile.write(b"221 bye\r\n")
                    return
                else:
                    self.wfile.write(b"250 fine\r\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Session) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"smtp://night%40bank.example:a-password@127.0.0.1:{server.server_address[1]}", got
        server.shutdown()
        thread.join()


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "flows.cli", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
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
    reason = json.loads(done.stdout)["message"]
    (told,) = webhook[1]
    assert (told["event"], told["message"]) == ("night_refused", reason)
    assert datetime.fromisoformat(told["at"]) > datetime.now(UTC) - timedelta(minutes=2)
    (sent,) = mail[1]
    parsed = message_from_string(sent)
    assert (parsed["To"], parsed["From"]) == ("ops@bank.example", "night@bank.example")
    assert "refused" in parsed["Subject"]
    night = nights.last(installation.settings)
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
    assert len(webhook[1]) == 1


def test_a_night_that_finds_another_one_is_not_told(
    installation: Installation, webhook: tuple[str, list[dict[str, Any]]], files: tuple[Path, Path]
) -> None:
    with runs.exclusive(installation.engine):
        done = command("nightly", "--applications", str(files[1]), CREDITLENS_NOTIFY_URL=webhook[0])
    assert done.returncode == 3
    assert webhook[1] == []


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

    thread = threading.Thread(target=nights.watch, args=(settings, stop), kwargs={"due_after": due_after})
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
    with nights.accounted(settings):
        pass
    assert nights.require_ended(settings, due) is True
    (settings.state / "night.json").unlink()
    run_id = ledger.open_run(installation.engine, ledger.new_model(installation.engine))
    assert nights.require_ended(settings, due) is False
    assert f"{run_id} of" in webhook[1][0]["message"] and "running" in webhook[1][0]["message"]
    runs.close_unpublished(installation.engine, run_id, status="failed", message="x")
    assert nights.require_ended(settings, due) is True


def test_the_next_night_is_the_schedules(installation: Installation) -> None:
    settings = installation.settings.model_copy(update={"cron": "30 2 * * *", "time_zone": "Europe/Paris"})
    due = nights.next_due(settings, datetime(2026, 1, 1, 1, 30, tzinfo=UTC))
    assert due == datetime(2026, 1, 2, 1, 30, tzinfo=UTC)


def test_the_disk_lasts_until_the_retention_is_full_and_then_by_scores_alone() -> None:
    lasting = health.days_until_full
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
    found = health.status_json(settings)
    assert found["healthy"] is True, found["problems"]
    assert 0 <= found["age_hours"] < 0.1
    disk = found["disk"]
    assert disk["database_bytes"] > disk["run_bytes"] * disk["retained_runs"] > 0
    assert found["notes"] == []
    pointer.move(installation.engine, published[0], by="olga")
    behind = health.status_json(settings)
    assert behind["healthy"] is True
    assert behind["published"]["run_id"] == published[0]
    assert f"the newest is run {published[1]}" in behind["notes"][0]
    assert "olga moved them" in behind["notes"][0]
    assert "Readers are on run" in health.status_text(behind)
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
    found = json.loads(done.stdout)
    assert found["last_run"]["status"] == "published"
    (problem,) = found["problems"]
    assert "last night was refused" in problem and reason in problem
    said = command("status").stdout
    assert "Last night  refused" in said and said.count(reason) == 1
    with nights.accounted(installation.settings):
        pass
    assert command("status").returncode == 0
    # A night that another machine published counts too.
    assert command("nightly", "--applications", str(file)).returncode == 2
    assert health.status_json(installation.settings)["healthy"] is False
    model_id = ledger.new_model(installation.engine, "i")
    ledger.night(installation.engine, model_id, day=ledger.DAY + timedelta(days=2), sha256="i" * 64)
    assert health.status_json(installation.settings)["healthy"] is True


def test_a_run_that_failed_is_one_problem_until_a_later_night_is_good(
    installation: Installation, published: list[int]
) -> None:
    run_id = ledger.open_run(installation.engine, ledger.new_model(installation.engine, "j"))
    with pytest.raises(ValueError, match="the reason"), nights.accounted(installation.settings):
        runs.close_unpublished(installation.engine, run_id, status="failed", message="the reason")
        raise ValueError("the reason")
    assert health.status_json(installation.settings)["problems"] == [f"The last run ({run_id}) failed: the reason"]
    # Its file was found unchanged: no run, and all is well.
    with nights.accounted(installation.settings):
        pass
    assert health.status_json(installation.settings)["problems"] == []


def test_an_old_publication_is_not_healthy(installation: Installation, published: list[int]) -> None:
    with installation.engine.begin() as connection:
        connection.execute(text("UPDATE credit.scoring_run SET published_at = published_at - interval '27 hours'"))
    done = command("status", "--json")
    assert done.returncode == 1
    assert "27 hours old; CREDITLENS_STALE_HOURS allows 26" in json.loads(done.stdout)["message"]
    assert command("status", CREDITLENS_STALE_HOURS="48").returncode == 0


def test_a_schedule_that_ended_by_itself_is_not_healthy(installation: Installation, published: list[int]) -> None:
    settings = installation.settings.model_copy(update={"stale_hours": 100.0})
    file = settings.state / "schedule.pid"
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    file.write_text(json.dumps({"pid": process.pid, "started": 0}))
    try:
        found = health.status_json(settings)
    finally:
        file.unlink()
    assert found["healthy"] is False
    assert "schedule's process has ended by itself" in found["message"]
    assert health.status_json(settings)["healthy"] is True


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
