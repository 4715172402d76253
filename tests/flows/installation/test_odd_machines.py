"""Odd but honest machines: root and ordinary users whose umask keeps others out, odd paths, no home, no server."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import stat
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from db.server.embedded import free_port
from tests import ordinary_user
from tests.ordinary_user import User

PROJECT = Path(__file__).resolve().parents[3]
SIZES = {
    "CREDITLENS_SYNTHETIC_FORMER": "1500",
    "CREDITLENS_SYNTHETIC_NEW": "200",
    "CREDITLENS_TRIALS": "0",
    "CREDITLENS_DASHBOARDS": "false",
}


@dataclass
class Machine:
    """An installation that is used by the real command alone, by a user and under a umask of its own."""

    state: Path
    umask: int
    environment: dict[str, str]
    checkout: Path = PROJECT
    user: User = field(default_factory=User)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*self.user.before, self.user.python, "-m", "flows.cli", *arguments],
            env={**self.environment, **self.user.environment, **SIZES, "CREDITLENS_STATE": str(self.state)},
            cwd=self.checkout, umask=self.umask, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def json(self, *arguments: str) -> dict:
        process = self.start(*arguments, "--json")
        output, errors = process.communicate(timeout=280)
        assert process.returncode == 0, errors
        assert "Traceback" not in errors
        return json.loads(output)

    def open_to_others(self) -> list[str]:
        """What others might read, write or enter in the state folder, but for the cluster, which is Postgres's."""
        found = []
        for parent, folders, files in os.walk(self.state):
            if Path(parent).name == "postgres":
                folders[:] = [name for name in folders if name != "data" and not name.startswith("server-")]
            for path in (Path(parent, name) for name in (*folders, *files)):
                if not path.is_symlink() and path.stat().st_mode & 0o077:
                    found.append(str(path.relative_to(self.state)))
        return found


def closed(state: Path) -> bool:
    """Whether nobody but the owner, and the server's user where root runs it, may enter the folder."""
    found = state.stat()
    if os.geteuid() == 0 and found.st_uid == 0:
        return stat.S_IMODE(found.st_mode) == 0o710 and found.st_gid == (state / "postgres").stat().st_gid
    return stat.S_IMODE(found.st_mode) == 0o700


def plain_environment() -> dict[str, str]:
    dropped = ("CREDITLENS_", "PREFECT_", "DATABASE_URL")
    return {name: value for name, value in os.environ.items() if not name.startswith(dropped)}


@pytest.fixture(scope="module")
def strict(open_folder: Path) -> Iterator[Machine]:
    """Whoever runs the tests (root, in continuous integration), with umask 077."""
    made = Machine(open_folder / "strict", 0o077, {**plain_environment(), "CREDITLENS_PREFECT_PORT": "0"})
    made.environment["CREDITLENS_PREFECT_PORT"] = str(free_port(None))
    yield made
    made.json("down")


def test_up_under_a_umask_that_keeps_others_out_publishes_and_leaves_nothing_open(strict: Machine) -> None:
    assert strict.json("up")["outcome"] == "published"
    assert strict.json("status")["healthy"] is True
    assert strict.open_to_others() == []
    assert closed(strict.state)
    # In the folder of the installation, not in another place.
    assert not (strict.state / "postgres").is_symlink()


def test_what_an_earlier_version_left_open_is_closed_while_everything_runs_on(strict: Machine) -> None:
    for path in (strict.state, strict.state / "prefect", *strict.state.glob("*.log"), strict.state / "data"):
        path.chmod(path.stat().st_mode | 0o055)
    assert strict.open_to_others() != []
    (strict.state / "night.json").chmod(0o644)
    strict.umask = 0o022
    strict.json("migrate")
    assert strict.open_to_others() == []
    assert closed(strict.state)
    # Postgres starts again from there too, and what is made later is closed from the beginning.
    strict.json("down")
    strict.json("migrate")
    assert strict.open_to_others() == []


# The servers are down since the test before.
def test_a_night_without_a_prefect_server_starts_one_of_its_own_and_leaves_none(strict: Machine) -> None:
    assert strict.json("nightly", "--force")["outcome"] == "published"
    assert temporary_servers(strict) == []
    assert strict.open_to_others() == []


def test_a_temporary_prefect_server_ends_with_a_command_that_is_killed(strict: Machine) -> None:
    process = strict.start("nightly", "--force")
    deadline = time.monotonic() + 120
    while not temporary_servers(strict):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 60
    while temporary_servers(strict):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def temporary_servers(machine: Machine) -> list[int]:
    found = []
    for process in psutil.process_iter(["cmdline", "environ"]):
        known = process.info
        ours = (known["environ"] or {}).get("CREDITLENS_STATE") == str(machine.state)
        if ours and "flows.services.temporary_prefect" in (known["cmdline"] or []):
            found.append(process.pid)
    return found


@pytest.fixture(scope="module")
def odd(open_folder: Path) -> Iterator[Machine]:
    """An ordinary user without a home, in a read-only checkout with spaces and accents, in the POSIX locale."""
    place = open_folder / "à côté, with spaces"
    checkout = place / "checkout"
    for package in ("flows", "db", "scoring", "migrations", "superset_assets"):
        shutil.copytree(PROJECT / package, checkout / package, ignore=shutil.ignore_patterns("__pycache__"))
    state = place / "état"
    state.mkdir(mode=0o700)
    nobody = pwd.getpwnam("nobody")
    user = ordinary_user.user(nobody.pw_uid)
    if user.before:
        os.chown(state, nobody.pw_uid, nobody.pw_gid)
    subprocess.run(["chmod", "-R", "a-w", checkout], check=True)
    environment = {
        "PATH": os.environ["PATH"],
        "LC_ALL": "POSIX",
        "TMPDIR": "/nowhere",
        "CREDITLENS_PREFECT_PORT": str(free_port(None)),
    }
    made = Machine(state, 0o077, environment, checkout, user)
    yield made
    made.json("down")
    subprocess.run(["chmod", "-R", "u+w", checkout], check=True)


def test_up_works_for_an_ordinary_user_with_odd_paths_and_no_home_from_a_read_only_checkout(odd: Machine) -> None:
    assert odd.json("up")["outcome"] == "published"
    status = odd.json("status")
    assert status["healthy"] is True, status
    # Prefect copies its pages with their modes; everybody has them, and nobody else passes the folder above.
    assert [name for name in odd.open_to_others() if not name.startswith("prefect/pages/")] == []
    assert closed(odd.state)
