"""The compose file is accepted, keeps secrets in files and ports behind the proxy, and runs what is tested."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from flows.cli.main import app
from flows.installation import team_secrets
from flows.services import prefect_server
from flows.services.prefect import prefect_environment
from flows.settings import Settings

PROJECT = Path(__file__).resolve().parents[1]
OURS = ("migrate", "schedule", "watch", "superset")


@pytest.fixture(scope="module")
def compose() -> dict:
    """The file as docker-compose resolves it, or as written where there is no docker-compose."""
    environment = {**os.environ, "CREDITLENS_DATA": "/somewhere"}
    program = shutil.which("docker-compose")
    text = (PROJECT / "docker-compose.yml").read_text()
    if program:
        done = subprocess.run(
            [program, "config"], cwd=PROJECT, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        text = done.stdout
    return yaml.safe_load(text)


@pytest.fixture(scope="module")
def written() -> dict:
    """The file as it is written."""
    return yaml.safe_load((PROJECT / "docker-compose.yml").read_text())


def sources(service: dict) -> set[str]:
    """The secrets that a service is given."""
    return {one["source"] if isinstance(one, dict) else one for one in service.get("secrets", [])}


# --- who is reached, and by what right ------------------------------------------------------------------


def test_only_the_proxy_publishes_a_port_and_on_loopback_unless_somebody_says_otherwise(compose: dict) -> None:
    published = {name: service["ports"] for name, service in compose["services"].items() if "ports" in service}
    assert list(published) == ["proxy"]
    (port,) = published["proxy"]
    assert str(port).startswith(("127.0.0.1:", "${CREDITLENS_ADDRESS:-127.0.0.1}:"))


def test_what_holds_data_is_in_a_network_that_leads_nowhere(compose: dict) -> None:
    assert compose["networks"]["inside"]["internal"] is True
    for name in ("postgres", "redis", "prefect", "superset", "migrate"):
        assert list(compose["services"][name]["networks"]) == ["inside"], name


def test_every_container_is_bounded_and_cannot_write_its_root(compose: dict) -> None:
    for name, service in compose["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["mem_limit"] and service["pids_limit"], name


def test_whatever_serves_has_a_health_check_and_time_to_stop(compose: dict) -> None:
    for name, service in compose["services"].items():
        if name not in {"migrate", "watch"}:
            assert service["healthcheck"]["test"], name
        if name != "migrate":
            assert service["stop_grace_period"], name


def test_migrations_come_after_postgres_and_before_all_that_is_ours(compose: dict) -> None:
    services = compose["services"]
    assert services["migrate"]["depends_on"]["postgres"]["condition"] == "service_healthy"
    for name in ("schedule", "watch"):
        assert services[name]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
    assert services["superset"]["depends_on"]["schedule"]["condition"] == "service_healthy"
    assert services["proxy"]["depends_on"]["superset"]["condition"] == "service_healthy"


# --- secrets ------------------------------------------------------------------------------------


def test_secrets_are_files_and_stand_in_no_environment(written: dict) -> None:
    secret = re.compile(r"PASSWORD|SECRET|TOKEN|KEY|_URL$")
    harmless = {"PREFECT_API_URL", "CREDITLENS_DASHBOARDS_URL"}
    for name, service in written["services"].items():
        for variable in service.get("environment", {}):
            assert variable.endswith("_FILE") or variable in harmless or not secret.search(variable), name
    text = (PROJECT / "docker-compose.yml").read_text()
    assert not re.search(r"://[^/\s]+:[^/\s]+@", text)


def test_each_service_is_given_the_secrets_that_it_names_and_no_other(compose: dict) -> None:
    for name, service in compose["services"].items():
        shown = json.dumps(service)
        named = set(re.findall(r"/run/secrets/(\w+)", shown))
        # Their readers are configuration files, a script, and settings that are empty by default.
        known = {
            "postgres": {"prefect_password"},
            "proxy": {"tls_certificate", "tls_key"},
            "schedule": {"notify_url", "smtp_url"},
            "watch": {"notify_url", "smtp_url"},
        }
        assert sources(service) == named | known.get(name, set()), name
    assert set().union(*map(sources, compose["services"].values())) == set(compose["secrets"])


def test_make_secrets_writes_every_file_that_the_compose_file_reads(compose: dict, tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    team_secrets.main(["--folder", str(folder), "--self-signed", "127.0.0.1"])
    assert {path.name for path in folder.iterdir()} == set(compose["secrets"])


def test_a_setting_that_ends_in_file_is_one_of_ours(compose: dict) -> None:
    secret = {f"CREDITLENS_{name.upper()}_FILE" for name in Settings._secret_fields()}
    for name in (*OURS, "prefect"):
        named = {one for one in compose["services"][name]["environment"] if one.endswith("_FILE")}
        assert named and named <= secret, name


# --- images and commands --------------------------------------------------------------------------------


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


@pytest.mark.parametrize("service", OURS)
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


def test_each_image_is_a_stage_of_the_dockerfile_and_has_the_version_of_the_program(written: dict) -> None:
    stages = (PROJECT / "Dockerfile").read_text()
    version = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"]
    for service in written["services"].values():
        if "build" in service:
            target = service["build"]["target"]
            assert f" AS {target}\n" in stages
            assert service["image"] == f"creditlens-{target}:{version}"


def test_versions_of_images_stand_in_one_place_and_are_pinned() -> None:
    text = (PROJECT / "docker-compose.yml").read_text()
    named = re.findall(r"^(\S+): &\S+-image (\S+)$", text, re.MULTILINE)
    assert [name for name, _ in named] == ["x-postgres-image", "x-redis-image", "x-nginx-image"]
    assert all(re.search(r":\d+(\.\d+)*(@sha256:\w+)?$", image) for _, image in named)
    services = text.partition("\nservices:\n")[2]
    assert all(image.startswith("*") for image in re.findall(r"^    image: (\S+)$", services, re.MULTILINE))


def test_the_images_run_as_a_user_of_a_fixed_number_and_end_on_sigterm() -> None:
    text = " ".join((PROJECT / "Dockerfile").read_text().replace("\\\n", " ").split())
    assert "USER 10001:10001" in text
    assert "STOPSIGNAL SIGTERM" in text
    assert "--require-hashes -r flows/requirements.txt" in text


def test_what_the_jobs_image_installs_has_no_test_tools() -> None:
    def names(file: str) -> set[str]:
        return set(re.findall(r"^([A-Za-z0-9._-]+)==", (PROJECT / file).read_text(), re.MULTILINE))

    tools = {"pytest", "hypothesis", "mypy", "ruff", "playwright", "import-linter", "woodelf-explainer"}
    jobs, everything = names("flows/requirements.txt"), names("requirements.txt")
    assert jobs < everything
    assert tools <= everything - jobs


# --- what containers must agree on ----------------------------------------------------------------------


def test_the_prefect_server_is_set_as_the_one_that_up_starts(compose: dict) -> None:
    ours = prefect_environment(Settings())
    service = compose["services"]["prefect"]
    there = service["environment"]
    assert service["entrypoint"] == ["python", "-m", prefect_server.__name__]
    apart = {"PREFECT_HOME", "CREDITLENS_PREFECT_DATABASE_URL_FILE"}
    assert {name: there[name] for name in there if name not in apart} == {
        name: ours[name]
        for name in (
            "PREFECT_SERVER_ANALYTICS_ENABLED", "DO_NOT_TRACK", "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED",
            "PREFECT_SERVER_SERVICES_LATE_RUNS_ENABLED",
        )
    }  # fmt: skip


def test_a_container_of_its_own_watches_with_the_settings_of_the_nights(compose: dict) -> None:
    nights, watch = compose["services"]["schedule"], compose["services"]["watch"]
    assert watch["command"] == ["watch"]
    assert nights["environment"] == watch["environment"]
    assert {"CREDITLENS_CRON", "CREDITLENS_NOTIFY_URL_FILE", "PREFECT_API_URL"} <= set(watch["environment"])


def test_where_people_are_erased_everything_can_be_searched_and_the_dashboards_name_what_they_cannot(
    compose: dict,
) -> None:
    """Else the next night brings a person back, and nobody was told."""
    watch, superset = compose["services"]["watch"], compose["services"]["superset"]
    assert watch["volumes"] == compose["services"]["schedule"]["volumes"]
    mounted = {re.findall(r":(/\w+)(?::r[ow])?$", one)[0]: one for one in watch["volumes"]}
    assert set(mounted) == {"/state", "/data", "/archive"} and mounted["/data"].endswith(":ro")
    assert watch["environment"]["CREDITLENS_DATA"] == "/data"
    assert "prefect_database_url" in sources(watch)
    # As the stores of privacy/ know of them.
    assert superset["environment"]["CREDITLENS_DATA"] == "/data"
    assert superset["environment"]["PREFECT_API_URL"] == watch["environment"]["PREFECT_API_URL"]
    documented = (PROJECT / "flows" / "README.md").read_text()
    commands = re.findall(r"exec (?:-T )?(\w+) creditlens (\w+)", documented)
    assert {service for service, command in commands if command != "dashboards"} == {"watch"}


def test_every_setting_can_be_set_in_containers_or_the_readme_says_that_it_cannot(compose: dict) -> None:
    passed = {name.removesuffix("_FILE") for name in OURS for name in compose["services"][name]["environment"]}
    section = (PROJECT / "flows" / "README.md").read_text().partition("## For a team")[2].partition("\n## ")[0]
    without = section.partition("What containers do not have")[2].partition("\n\n")[0]
    for field in Settings.model_fields:
        variable = f"CREDITLENS_{field.upper()}"
        assert (variable in passed) is not (f"`{variable}`" in without), variable


def test_pages_of_prefect_speak_the_language_of_the_dashboards_and_lead_to_them(compose: dict) -> None:
    for name in ("CREDITLENS_SUPERSET_LOCALE", "CREDITLENS_DASHBOARDS_URL", "CREDITLENS_LETTER_TEMPLATE"):
        assert name in compose["services"]["schedule"]["environment"]
        assert name in compose["services"]["superset"]["environment"]


def test_the_dashboards_share_what_nights_drop(compose: dict) -> None:
    name = "CREDITLENS_REDIS_URL_FILE"
    values = {service: compose["services"][service]["environment"][name] for service in OURS}
    assert set(values.values()) == {"/run/secrets/redis_url"}
