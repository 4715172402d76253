"""The command around Superset: what it prints, what it says when something is missing, how it serves."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pydantic import SecretStr

from db.server.embedded import free_port
from flows.cli import dashboards
from flows.services import http, processes
from flows.services import superset as superset_service
from tests.flows.cli.json_schema import checked
from tests.superset_fixture import Superset

COMMAND = [sys.executable, "-m", "flows.cli"]


def environment(superset: Superset, **more: str) -> dict[str, str]:
    """The environment in which a command means the fixture's installation."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CREDITLENS_")}
    assert superset.settings.database_url is not None
    return {
        **kept,
        "CREDITLENS_DATABASE_URL": superset.settings.database_url.get_secret_value(),
        "CREDITLENS_STATE": str(superset.settings.state),
        "CREDITLENS_SUPERSET_PORT": str(superset.settings.superset_port),
        **more,
    }


def run(superset: Superset, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], env=environment(superset), capture_output=True, text=True, check=False, timeout=200
    )


def test_the_command_prints_address_users_passwords_and_rights(superset: Superset) -> None:
    done = run(superset, "dashboards")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == f"Dashboards:   {superset.url}  (unchanged); sign in as"
    assert [line.split()[:2] for line in lines[1:]] == [
        [user, superset.users[user]] for user in ("advisor", "lead", "analyst", "operator", "admin")
    ]


def test_programs_get_the_same_as_json(superset: Superset) -> None:
    found = checked("dashboards", run(superset, "dashboards", "--json").stdout)
    assert found["outcome"] == "unchanged"
    made = {user: superset.users[user] for user in found["users"]}
    assert (found["url"], found["users"]) == (superset.url, made)
    assert set(made) == {"admin", "operator", "analyst", "lead", "advisor"}


def test_status_tells_the_address(superset: Superset) -> None:
    assert checked("status", run(superset, "status", "--json").stdout)["dashboards_url"] == superset.url
    shown = run(superset, "status").stdout
    assert superset.url in shown
    assert not [password for password in superset.users.values() if password in shown]


def test_a_server_that_is_down_has_no_address(superset: Superset, tmp_path: Path) -> None:
    assert superset_service.url(superset.settings.model_copy(update={"state": tmp_path})) is None


def test_a_database_that_is_named_is_used_and_none_is_made(superset: Superset) -> None:
    named = SecretStr("postgres://superset:a-password@db.internal:5432/its_own")
    settings = superset.settings.model_copy(update={"superset_database_url": named})
    assert superset_service.metadata_url(settings) == "postgresql://superset:a-password@db.internal:5432/its_own"


def test_without_the_packages_it_says_what_to_run(
    superset: Superset, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(superset_service, "ENVIRONMENT", tmp_path)
    with pytest.raises(processes.ServiceError, match="run `make superset`"):
        superset_service.set_up(superset.settings)


def test_dashboards_that_fail_do_not_hide_that_the_night_was_published(
    superset: Superset, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(superset_service, "ENVIRONMENT", tmp_path)
    answer: dict = {"outcome": "published"}
    problem = dashboards.beside_the_night(superset.settings, answer, json_output=False)
    assert problem is not None
    assert answer["outcome"] == "published"
    assert answer["dashboards"]["outcome"] == "failed"
    assert (
        "The night is published; the dashboards are not there: Superset is not installed" in capsys.readouterr().err
    )


def test_a_containers_command_becomes_the_server(superset: Superset, tmp_path: Path) -> None:
    state, port, log = tmp_path / "state", free_port(None), tmp_path / "log"
    state.mkdir()
    shutil.copy(superset.settings.state / "secrets.json", state)
    elsewhere = environment(superset, CREDITLENS_SUPERSET_PORT=str(port), CREDITLENS_STATE=str(state))
    with log.open("w") as output:
        process = subprocess.Popen(
            [*COMMAND, "dashboards", "--foreground"], env=elsewhere, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        deadline = time.monotonic() + 200
        while not http.answers(f"http://127.0.0.1:{port}/login/"):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.3)
        assert "gunicorn" in Path(f"/proc/{process.pid}/cmdline").read_text()
        # What is run beside it in the container finds it and starts no second one.
        done = subprocess.run([*COMMAND, "dashboards", "--json"], env=elsewhere, capture_output=True, check=True)
        found = checked("dashboards", done.stdout.decode())
        assert (found["outcome"], found["url"]) == ("unchanged", f"http://127.0.0.1:{port}")
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
