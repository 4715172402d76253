"""What is wrong is said before anything is installed or started, by `make up` and by `creditlens up`."""

from __future__ import annotations

import json
import os
import pwd
import re
import resource
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import ordinary_user

PROJECT = Path(__file__).resolve().parents[3]


def environment(state: Path, **settings: str) -> dict[str, str]:
    dropped = ("CREDITLENS_", "PREFECT_", "DATABASE_URL", "MAKE", "MFLAGS")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    return {**kept, "CREDITLENS_STATE": str(state), "CREDITLENS_DASHBOARDS": "false", **settings}


def look(state: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """The checks, by an interpreter that sees no installed package, as on a fresh machine."""
    return subprocess.run(
        [sys.executable, "-S", "-m", "flows.operations.preflight", *arguments],
        env=environment(state, **settings), cwd=PROJECT, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    for name in ("application_train.csv", "application_test.csv"):
        (folder / name).touch()
    return folder


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that another program listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_nothing_is_wrong_with_a_plain_machine_and_nothing_is_made(state: Path, data: Path) -> None:
    for settings in ({}, {"CREDITLENS_DATA": str(data)}, {"CREDITLENS_CRON": "", "CREDITLENS_DATA": ""}):
        done = look(state, "--installing", CREDITLENS_DASHBOARDS="true", **settings)
        assert (done.returncode, done.stderr) == (0, "")
    assert not state.exists()


WRONG = {
    "no data folder": ({"CREDITLENS_DATA": "/nowhere/at all"}, "There is no folder /nowhere/at all; "),
    "a data folder without files": ({"CREDITLENS_DATA": "/usr"}, "no application_train.csv and no application"),
    "a file for a data folder": ({"CREDITLENS_DATA": "/etc/passwd"}, "There is no folder /etc/passwd"),
    "a relative data folder": ({"CREDITLENS_DATA": "../nowhere"}, f"{PROJECT}/../nowhere"),
    "no time zone": ({"CREDITLENS_TIME_ZONE": "Mars"}, "CREDITLENS_TIME_ZONE: 'Mars' is not a time zone"),
    "a path for a time zone": ({"CREDITLENS_TIME_ZONE": "../../etc/passwd"}, "CREDITLENS_TIME_ZONE"),
    "an impossible minute": ({"CREDITLENS_CRON": "61 2 * * *"}, "CREDITLENS_CRON: .* '61' is not .* minutes"),
    "too few fields": ({"CREDITLENS_CRON": "30 2 * *"}, "CREDITLENS_CRON: .*it has 4 fields instead of 5"),
    "a state in a file": ({"CREDITLENS_STATE": "/etc/passwd/state"}, "/etc/passwd is no folder.*CREDITLENS_STATE"),
    "an address of another machine": (
        {"CREDITLENS_SUPERSET_HOST": "192.0.2.1", "CREDITLENS_DASHBOARDS": "true"},
        "no address 192.0.2.1.*CREDITLENS_SUPERSET_HOST",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("settings", "message"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_one_sentence_with_the_way_out_and_exit_code_2(
    state: Path, settings: dict[str, str], message: str
) -> None:
    done = look(state, **settings)
    assert done.returncode == 2
    assert re.fullmatch(rf"creditlens: .*{message}.*\n", done.stderr), done.stderr
    assert not state.exists()


SCHEDULES = ["30 2 * * *", "*/15 0-6,22 1,15 JAN-MAR MON-FRI", "0 0 L * *", "@daily", "0 0 * * 7", "5 4 * * sun#2"]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_schedule_that_can_run_is_let_through(state: Path, schedule: str) -> None:
    assert look(state, CREDITLENS_CRON=schedule).stderr == ""


def test_everything_that_is_wrong_is_said_at_once(state: Path) -> None:
    done = look(state, CREDITLENS_DATA="/nowhere", CREDITLENS_TIME_ZONE="Mars", CREDITLENS_CRON="99 * * * *")
    assert len(done.stderr.splitlines()) == 3


@pytest.mark.parametrize("service", ["PREFECT", "SUPERSET"])
def test_a_chosen_port_of_another_program_is_refused_and_our_own_is_not(
    state: Path, taken: int, service: str
) -> None:
    settings = {f"CREDITLENS_{service}_PORT": str(taken), "CREDITLENS_DASHBOARDS": "true"}
    done = look(state, **settings)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert f"Port {taken} is in use" in done.stderr and f"CREDITLENS_{service}_PORT" in done.stderr
    state.mkdir()
    name = {"PREFECT": "prefect-server", "SUPERSET": "superset"}[service]
    (state / f"{name}.pid").write_text(json.dumps({"pid": os.getpid(), "started": 0}))
    (state / f"{service.lower()}.port").write_text(str(taken))
    assert look(state, **settings).stderr == ""


def test_a_state_that_may_not_be_written_is_refused(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    user = ordinary_user.user(pwd.getpwnam("nobody").pw_uid)
    if user.before:
        for folder in tmp_path.parents:
            if folder != Path("/tmp") and folder.stat().st_uid == 0 and folder.is_relative_to("/tmp"):
                folder.chmod(0o755)
        tmp_path.chmod(0o755)
    done = subprocess.run(
        [*user.before, user.python, "-S", "-m", "flows.operations.preflight"],
        env=environment(closed / "state"), cwd=PROJECT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert f"You may not write in {closed}" in done.stderr


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    """What a fresh checkout has, without environments."""
    folder = tmp_path / "a fresh checkout, été"
    shutil.copytree(PROJECT / "flows", folder / "flows", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(PROJECT / ".ci", folder / ".ci")
    for name in ("Makefile", "requirements.txt", "pyproject.toml", "README.md"):
        shutil.copy(PROJECT / name, folder / name)
    (folder / "superset_assets").mkdir()
    shutil.copy(PROJECT / "superset_assets" / "requirements.txt", folder / "superset_assets")
    return folder


def make(folder: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """From another folder, as `make -C` is for."""
    return subprocess.run(
        ["make", "-C", str(folder), *arguments],
        env=environment(folder / "state", **settings), cwd="/", capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_make_up_refuses_before_it_installs_anything(fresh: Path) -> None:
    done = make(fresh, "up", CREDITLENS_DATA="/nowhere")
    assert done.returncode == 2
    assert "There is no folder /nowhere" in done.stderr
    assert "Installing" not in done.stdout
    assert not (fresh / ".venv").exists()


def test_make_n_up_shows_what_would_be_done_and_does_nothing(fresh: Path) -> None:
    before = sorted(fresh.rglob("*"))
    done = make(fresh, "-n", "up", CREDITLENS_DATA="/nowhere")
    assert done.returncode == 0, done.stderr
    order = [
        done.stdout.index(part) for part in ("flows.operations.preflight", "pip install", ".venv/bin/creditlens up")
    ]
    assert order == sorted(order)
    assert sorted(fresh.rglob("*")) == before


def test_the_first_command_of_the_readme_works_as_pasted_into_sh_on_a_fresh_machine(fresh: Path) -> None:
    blocks = re.findall(r"```(\w+)\n(.*?)```", (PROJECT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    kind, first = next((kind, text) for kind, text in blocks if "make up" in text)
    assert kind == "sh"
    assert first.splitlines()[0] == "make up"
    # Nothing is installed here: make only shows what it would do, after the checks were really made.
    assert make(fresh, "preflight").returncode == 0
    done = subprocess.run(
        ["sh", "-ec", first], cwd=fresh, env=environment(fresh / "state", MAKEFLAGS="n"),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def creditlens(state: Path, *arguments: str, before: Callable[[], None] | None = None, **settings: str):
    return subprocess.run(
        [sys.executable, "-m", "flows.cli", *arguments],
        env=environment(state, **settings), cwd=PROJECT, capture_output=True, text=True, check=False,
        preexec_fn=before,
    )  # fmt: skip


def test_creditlens_up_refuses_the_same_before_it_starts_anything(state: Path, taken: int) -> None:
    done = creditlens(state, "up", "--json", CREDITLENS_PREFECT_PORT=str(taken), CREDITLENS_DATA="/nowhere")
    assert done.returncode == 2
    answer = json.loads(done.stdout)
    assert answer["outcome"] == "refused"
    assert "There is no folder /nowhere" in answer["message"] and f"Port {taken} is in use" in answer["message"]
    assert not state.exists()


def test_a_setting_that_is_wrong_is_told_to_programs_too(state: Path) -> None:
    done = creditlens(state, "status", "--json", CREDITLENS_TIME_ZONE="Mars")
    assert done.returncode == 2
    assert json.loads(done.stdout)["outcome"] == "refused"
    assert "CREDITLENS_TIME_ZONE" in json.loads(done.stdout)["message"]


def test_a_sample_never_replaces_what_is_there_unless_it_is_told_to(state: Path, tmp_path: Path) -> None:
    folder = tmp_path / "real"
    folder.mkdir()
    real = folder / "application_train.parquet"
    real.write_text("somebody's")
    size = ("--former", "2", "--new", "2", "--json")
    done = creditlens(state, "sample", str(folder), *size)
    assert done.returncode == 2
    assert "application_train.parquet" in json.loads(done.stdout)["message"]
    assert list(folder.iterdir()) == [real]
    assert creditlens(state, "sample", str(folder), "--force", *size).returncode == 0
    assert real.read_text() == "somebody's"
    assert (folder / "application_test.csv").stat().st_mode & 0o777 == 0o666 & ~_umask()


def test_a_sample_that_finds_no_room_says_so_in_a_sentence_and_leaves_nothing(state: Path, tmp_path: Path) -> None:
    def little_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))

    done = creditlens(state, "sample", str(tmp_path / "new"), "--former", "5000", "--new", "2", before=little_room)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("creditlens: File too large:")
    assert "application_train.csv" in done.stderr and "Traceback" not in done.stderr
    assert list((tmp_path / "new").iterdir()) == []


def test_nightly_and_train_before_anything_is_set_up_name_the_command_that_sets_it_up(state: Path) -> None:
    done = creditlens(state, "nightly", "--json")
    assert done.returncode == 2
    assert "creditlens up" in json.loads(done.stdout)["message"]


def _umask() -> int:
    before = os.umask(0)
    os.umask(before)
    return before
