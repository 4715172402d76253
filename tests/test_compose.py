"""The compose file is accepted, keeps its ports on loopback, and runs commands that other tests run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from flows.cli.main import app
from flows.services.prefect import prefect_environment
from flows.settings import Settings

PROJECT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def compose() -> dict:
    """The file as docker-compose resolves it, or as written where there is no docker-compose."""
    environment = {**os.environ, "POSTGRES_PASSWORD": "a-long-enough-password", "CREDITLENS_DATA": "/somewhere"}
    program = shutil.which("docker-compose")
    text = (PROJECT / "docker-compose.yml").read_text()
    if program:
        done = subprocess.run(
            [program, "config"], cwd=PROJECT, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        text = done.stdout
    return yaml.safe_load(text)


def test_a_missing_password_is_an_error_not_a_default() -> None:
    assert "${POSTGRES_PASSWORD:?" in (PROJECT / "docker-compose.yml").read_text()


def test_ports_are_published_on_loopback_only(compose: dict) -> None:
    for service in compose["services"].values():
        for port in service.get("ports", []):
            assert str(port).startswith("127.0.0.1:") or port["host_ip"] == "127.0.0.1"


def images() -> dict[str, list[str]]:
    """What each of our images runs if it is asked for nothing else, by the stage of the Dockerfile."""
    found: dict[str, list[str]] = {}
    stage = ""
    for line in (PROJECT / "Dockerfile").read_text().splitlines():
        if line.startswith("FROM "):
            stage = line.rpartition(" AS ")[2]
        elif line.startswith("CMD "):
            found[stage] = json.loads(line.removeprefix("CMD "))
    return found


@pytest.mark.parametrize("service", ["creditlens", "watch", "dashboards"])
def test_the_command_line_knows_what_a_service_runs(compose: dict, service: str) -> None:
    command = compose["services"][service]["command"]
    # Options that it does not know are refused before --help is looked at.
    done = CliRunner().invoke(app, [*command, "--help"])
    assert done.exit_code == 0, done.output
    assert CliRunner().invoke(app, [*command, "--no-such-option", "--help"]).exit_code == 2


def test_an_image_by_itself_runs_what_a_service_of_it_runs(compose: dict) -> None:
    assert images()
    for stage, command in images().items():
        built = [one for one in compose["services"].values() if one.get("build", {}).get("target") == stage]
        assert command in [service["command"] for service in built]


def test_the_prefect_server_is_set_as_the_one_that_up_starts(compose: dict) -> None:
    ours = prefect_environment(Settings())
    there = compose["services"]["prefect"]["environment"]
    assert {name: there[name] for name in there if name != "PREFECT_HOME"} == {
        name: ours[name]
        for name in (
            "PREFECT_SERVER_ANALYTICS_ENABLED", "DO_NOT_TRACK", "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED",
            "PREFECT_SERVER_SERVICES_LATE_RUNS_ENABLED",
        )
    }  # fmt: skip


def test_a_container_of_its_own_watches_with_the_settings_of_the_nights(compose: dict) -> None:
    nights, watch = compose["services"]["creditlens"], compose["services"]["watch"]
    assert watch["command"] == ["watch"]
    assert nights["environment"] == {**watch["environment"], "CREDITLENS_DATA": "/data"}
    assert {"CREDITLENS_CRON", "CREDITLENS_NOTIFY_URL", "PREFECT_API_URL"} <= set(watch["environment"])
    assert watch["volumes"] == nights["volumes"][:1]


def test_each_image_is_a_stage_of_the_dockerfile(compose: dict) -> None:
    stages = (PROJECT / "Dockerfile").read_text()
    for service in compose["services"].values():
        if "build" in service:
            assert f" AS {service['build']['target']}\n" in stages
