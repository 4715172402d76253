"""Installations beside each other on one machine: started together, copied, moved, on one Prefect server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from db.server.embedded import free_port
from flows.installation import identity
from flows.operations import schedule
from flows.services import prefect
from flows.settings import Settings
from tests.faults.conftest import need
from tests.installation import Installation
from tests.neighbours import AS_SOMEBODY_ELSE, SOMEBODY_ELSE, can_be_somebody_else

pytestmark = pytest.mark.timeout(900)
SIZES = {
    "CREDITLENS_SYNTHETIC_FORMER": "600",
    "CREDITLENS_SYNTHETIC_NEW": "60",
    "CREDITLENS_TRIALS": "0",
    "CREDITLENS_DASHBOARDS": "false",
}


@dataclass
class Neighbour:
    """An installation that is used by its command alone, all with the same ports."""

    state: Path
    environment: dict[str, str] = field(default_factory=dict)

    def start(self, *arguments: str, within: tuple[str, ...] = (), **environment: str) -> subprocess.Popen[str]:
        """Start a `creditlens` command."""
        dropped = ("CREDITLENS_", "PREFECT_", "DATABASE_URL")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
        return subprocess.Popen(
            [*within, sys.executable, "-m", "flows.cli", *arguments],
            env={**kept, **SIZES, "CREDITLENS_STATE": str(self.state), **self.environment, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        """What a command says to programs."""
        return answer(self.start(*arguments, "--json"), code)

    def runs(self) -> list[int]:
        """Runs in its ledger."""
        process = self.start("sql", "-Atc", "SELECT run_id FROM reporting.run_history ORDER BY 1")
        output, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
        return [int(line) for line in output.split()]

    def file(self) -> str:
        """Its own file of applications."""
        return str(self.state / "data" / "application_test.csv")

    def copy_to(self, folder: Path) -> Neighbour:
        """What `cp -a` makes of it."""
        subprocess.run(["cp", "-a", str(self.state), str(folder)], check=True)
        return Neighbour(folder, self.environment)


def answer(process: subprocess.Popen[str], code: int = 0) -> dict[str, Any]:
    output, errors = process.communicate(timeout=600)
    assert process.returncode == code, errors
    assert "Traceback" not in errors
    found: dict[str, Any] = json.loads(output)
    return found


def wait(happened: Callable[[], object], what: Callable[[], object], seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, what()
        time.sleep(0.3)


def ask(api: str, path: str, body: object) -> Any:
    """POST to a Prefect server."""
    request = urllib.request.Request(
        f"{api}/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as response:
        return json.loads(response.read() or b"null")


def deployments(api: str) -> dict[str, dict[str, Any]]:
    """A Prefect server's deployments, by name."""
    return {found["name"]: found for found in ask(api, "deployments/filter", {})}


@pytest.fixture(scope="module")
def neighbours(open_folder: Path) -> Iterator[tuple[Neighbour, Neighbour]]:
    """Two installations whose `up` ran at the same time, with the same ports."""
    port = {"CREDITLENS_PREFECT_PORT": str(free_port(None))}
    made = Neighbour(open_folder / "one-neighbour", port), Neighbour(open_folder / "other-neighbour", port)
    try:
        for process in [neighbour.start("up", "--json") for neighbour in made]:
            assert answer(process)["outcome"] == "published"
        yield made
    finally:
        for neighbour in made:
            neighbour("down")


def test_two_that_start_at_the_same_time_both_work_with_servers_of_their_own(
    neighbours: tuple[Neighbour, Neighbour],
) -> None:
    found = [neighbour("status") for neighbour in neighbours]
    assert [status["problems"] for status in found] == [[], []]
    assert len({status["prefect_url"] for status in found}) == 2
    assert len({status["schedule_pid"] for status in found}) == 2
    for neighbour, status in zip(neighbours, found, strict=True):
        name = f"every-night-{identity.of(neighbour.state).name}"
        wait(lambda url=status["prefect_url"]: deployments(url), lambda: "no deployment")
        (deployment,) = deployments(status["prefect_url"]).items()
        assert (deployment[0], deployment[1]["parameters"]["applications"]) == (name, neighbour.file())


@pytest.mark.whole
def test_the_copy_of_a_running_one_leaves_it_alone_and_works_by_itself(
    neighbours: tuple[Neighbour, Neighbour], open_folder: Path
) -> None:
    original, copy = neighbours[0], neighbours[0].copy_to(open_folder / "copied-installation")
    before, runs = original("status"), original.runs()
    status = copy("status", code=1)
    assert [status[name] for name in ("schedule", "schedule_pid", "prefect_url")] == ["off", None, None]
    assert "embedded Postgres is not running" in status["message"]
    assert set(copy("down").values()) == {False}
    assert original("status")["problems"] == []
    try:
        assert copy("up")["outcome"] == "unchanged"
        assert copy("nightly", "--force")["outcome"] == "published"
        own = copy("status")
        assert own["problems"] == []
        assert own["prefect_url"] != before["prefect_url"]
        # Numbers are skipped after a recovery, which the copy of a running server needs.
        assert (copy.runs()[:-1], len(copy.runs())) == (runs, len(runs) + 1)
        # What its Prefect server knew of the original's schedule is gone.
        name = f"every-night-{identity.of(copy.state).name}"
        wait(lambda: set(deployments(own["prefect_url"])) == {name}, lambda: deployments(own["prefect_url"]))
    finally:
        stopped = copy("down")
    assert [name for name, ran in stopped.items() if ran] == ["schedule", "prefect", "postgres"]
    after = original("status")
    assert after["problems"] == []
    assert after["schedule_pid"] == before["schedule_pid"]
    assert original.runs() == runs


@pytest.mark.whole
def test_a_stopped_one_can_be_moved_and_stops_no_other(
    neighbours: tuple[Neighbour, Neighbour], open_folder: Path
) -> None:
    one, other = neighbours
    name, runs = identity.of(other.state).name, other.runs()
    other("down")
    assert one("status")["problems"] == []
    other.state.rename(open_folder / "moved-installation")
    other.state = open_folder / "moved-installation"
    assert other("up")["outcome"] == "unchanged"
    assert (identity.of(other.state).name, other.runs()) == (name, runs)
    assert other("status")["problems"] == []
    assert one("status")["problems"] == []


# --- one Prefect server for many ------------------------------------------------------------------------------


@pytest.fixture
def schedules(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Settings]]:
    """Serves the schedules of new installations, which share the session's Prefect server."""
    served = []

    def serve(name: str, file: Path) -> Settings:
        monkeypatch.setenv("CREDITLENS_STATE", str(tmp_path / name))
        settings = Settings()
        schedule.start_schedule(settings, file)
        served.append(schedule.schedule_service(settings))
        return settings

    yield serve
    for service in served:
        service.stop()


def test_two_with_one_prefect_server_have_a_schedule_each_and_that_of_0_3_is_paused(
    schedules: Callable[..., Settings], tmp_path: Path
) -> None:
    api = os.environ["PREFECT_API_URL"]
    files = tmp_path / "one.csv", tmp_path / "other.csv"
    for file in files:
        file.touch()
    flow = ask(api, "flows/", {"name": schedule.FLOW})["id"]
    former = {"name": "every-night", "flow_id": flow, "parameters": {"applications": str(files[0])}}
    ask(api, "deployments/", former)

    def active(settings: Settings) -> bool:
        return schedule.standing(settings, prefect.prefect_url(settings)).state == "active"

    other = schedules("other", files[1])
    wait(lambda: active(other), schedule.schedule_service(other).log.read_text)
    assert deployments(api)["every-night"]["paused"] is False, "It is not that one's"
    one = schedules("one", files[0])
    wait(lambda: active(one), schedule.schedule_service(one).log.read_text)
    found = deployments(api)
    assert found["every-night"]["paused"] is True
    assert "Paused Prefect's deployment nightly/every-night" in schedule.schedule_service(one).log.read_text()
    for settings, file in zip((one, other), files, strict=True):
        assert found[schedule.deployment_name(settings)]["parameters"] == {"applications": str(file)}
    schedule.schedule_service(one).stop()
    assert active(other)


# --- another user ---------------------------------------------------------------------------------------------


def test_another_user_of_the_machine_has_a_schedule_too(installation: Installation, open_folder: Path) -> None:
    need(can_be_somebody_else(), "Only root with setpriv can be another user.")
    temporary, state = open_folder / "temporary", open_folder / "somebody"
    temporary.mkdir(mode=0o1777)
    temporary.chmod(0o1777)
    # Where Prefect's runner of the first user keeps its files, for every user.
    (temporary / "runner_storage").mkdir()
    state.mkdir()
    os.chown(state, SOMEBODY_ELSE, SOMEBODY_ELSE)
    file = open_folder / "application_test.csv"
    file.touch()
    url = os.environ["PREFECT_API_URL"]
    somebody = Neighbour(
        state,
        {
            "TMPDIR": str(temporary), "HOME": str(state), "PREFECT_API_URL": url,
            "CREDITLENS_DATABASE_URL": os.environ["CREDITLENS_DATABASE_URL"],
        },
    )  # fmt: skip
    process = somebody.start("schedule", "--applications", str(file), within=AS_SOMEBODY_ELSE)
    try:
        name = f"{schedule.DEPLOYMENT}-{identity.of(state).name}"
        wait(
            lambda: deployments(url).get(name, {}).get("status") == "READY" or process.poll() is not None,
            lambda: deployments(url),
        )
        assert process.poll() is None, process.communicate()
        assert list((state / "tmp").rglob("runner_storage"))
        assert not list((temporary / "runner_storage").iterdir())
    finally:
        process.terminate()
        process.communicate(timeout=60)
