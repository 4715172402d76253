"""The command, as a person and as a program use it: real processes, a real server that is not the embedded one."""

from __future__ import annotations

import json
import os
import pty
import select
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
import yaml

from db.server.embedded import free_port
from flows.installation import identity
from scoring.preprocess import explained_features
from tests.flows.cli.json_schema import checked

PROJECT = Path(__file__).resolve().parents[3]
COMMAND = [sys.executable, "-m", "flows.cli"]
SIZES = {
    "CREDITLENS_SYNTHETIC_FORMER": "1500",
    "CREDITLENS_SYNTHETIC_NEW": "200",
    "CREDITLENS_TRIALS": "0",
    "CREDITLENS_RETAINED_RUNS": "3",
    # tests/flows/services/test_superset.py has them.
    "CREDITLENS_DASHBOARDS": "false",
}

# In every Python process of an installation: notes each file of the state folder that is opened to be written.
NOTES_WHAT_IS_OPENED = """
import os, sys

def seen(event, arguments):
    if event == "open" and isinstance(arguments[0], (str, os.PathLike)) and isinstance(arguments[2], int):
        path, flags = os.path.abspath(arguments[0]), arguments[2]
        if flags & (os.O_WRONLY | os.O_RDWR) and path.startswith({state!r}):
            note = os.open({log!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            os.write(note, f"{{flags}} {{path}}\\n".encode())
            os.close(note)

sys.addaudithook(seen)
"""


@dataclass
class Machine:
    """One installation, driven from outside through the command alone."""

    state: Path
    environment: dict[str, str] = field(default_factory=dict)

    def __call__(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("CREDITLENS_", "PREFECT_", "DATABASE_URL"))
        }
        return subprocess.run(
            [*COMMAND, *arguments],
            env={**kept, **SIZES, "CREDITLENS_STATE": str(self.state), **self.environment, **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )

    def json(self, *arguments: str, code: int = 0) -> dict:
        done = self(*arguments, "--json")
        assert done.returncode == code, done.stderr
        return checked(arguments[0], done.stdout)


@pytest.fixture(scope="module")
def machine(open_folder: Path) -> Iterator[Machine]:
    hook = open_folder / "hook"
    hook.mkdir()
    text = NOTES_WHAT_IS_OPENED.format(state=str(open_folder / "machine"), log=str(hook / "opened"))
    (hook / "sitecustomize.py").write_text(text)
    environment = {"CREDITLENS_PREFECT_PORT": str(free_port(None)), "PYTHONPATH": str(hook)}
    made = Machine(open_folder / "machine", environment)
    yield made
    made("down")


@pytest.fixture(scope="module")
def first(machine: Machine) -> dict:
    done = machine("up", "--no-dashboards", "--json")
    assert done.returncode == 0, done.stderr
    return checked("up", done.stdout)


def applications(machine: Machine) -> Path:
    return machine.state / "data" / "application_test.csv"


def test_up_on_an_empty_folder_publishes_everybody(machine: Machine, first: dict) -> None:
    assert first["outcome"] == "published"
    assert (first["customers"], first["rejected"]) == (200, 0)
    status = machine.json("status")
    assert status["healthy"] is True
    assert status["published"] == {key: first[key] for key in status["published"]}
    assert status["prefect_url"].startswith("http://127.0.0.1:")
    assert status["dashboards_url"] is None


def test_the_readers_address_shows_scores_and_every_features_contribution(machine: Machine, first: dict) -> None:
    with psycopg.connect(machine.json("status")["database_url"]) as reader:
        assert reader.execute("SELECT count(*) FROM reporting.customer").fetchone() == (200,)
        explained = reader.execute("SELECT count(*) FROM reporting.customer_explanation").fetchone()
        assert explained == (200 * len(explained_features()),)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute("SELECT * FROM credit.score")


def test_up_again_changes_nothing_but_watches_once_somebody_is_to_be_told(machine: Machine, first: dict) -> None:
    assert machine.json("status")["watch_pid"] is None
    done = machine("up", "--json", CREDITLENS_NOTIFY_URL="http://127.0.0.1:9/")
    assert done.returncode == 0, done.stderr
    again = checked("up", done.stdout)
    assert (again["outcome"], again["run_id"], again["model_id"]) == (
        "unchanged",
        first["run_id"],
        first["model_id"],
    )
    assert machine.json("status")["watch_pid"] is not None


def test_no_file_of_the_state_folder_is_written_in_place(machine: Machine, first: dict) -> None:
    """What is written in place may be cut in half; a new file is renamed over the old one."""
    opened = (machine.state.parent / "hook" / "opened").read_text().splitlines()
    in_place = set()
    for line in opened:
        flags, _, path = line.partition(" ")
        place = Path(path).relative_to(machine.state)
        # Prefect's folder and the temporary one are Prefect's; a log is its writer's alone.
        if place.parts[0] in {"prefect", "tmp"} or place.suffix in {".lock", ".log", ".partial", ".tmp"}:
            continue
        if place.name != "lock" and not int(flags) & (os.O_EXCL | os.O_APPEND):
            in_place.add(str(place))
    assert len(opened) > 10
    assert not in_place


def test_up_tells_programs_all_that_it_tells_people(machine: Machine, first: dict) -> None:
    told = {
        "unknown_categories",
        "stage_seconds",
        "is_current",
        "warnings",
        "notes",
        "model",
        "next_night",
        "prefect_url",
    }
    assert told <= first.keys()
    assert (first["is_current"], first["warnings"], first["notes"]) == (True, [], [])
    assert first["stage_seconds"]["score"] > 0
    assert 0.5 < first["model"]["auc"] < 1


@pytest.mark.parametrize("command", [("schedule",), ("up", "--foreground", "--no-dashboards")])
def test_a_schedule_beside_the_one_that_is_served_is_busy_with_exit_code_3(
    machine: Machine, first: dict, command: tuple[str, ...]
) -> None:
    before = machine.json("status")
    done = machine(*command)
    assert (done.returncode, done.stdout) == (3, "")
    (line,) = done.stderr.splitlines()
    assert f"already served by process {before['schedule_pid']}" in line and "creditlens down" in line
    assert machine.json("status")["schedule_pid"] == before["schedule_pid"]


def test_the_schedule_is_served_and_known_to_the_prefect_server(machine: Machine, first: dict) -> None:
    import urllib.request

    url = machine.json("status")["prefect_url"] + "/deployments/filter"
    for _ in range(60):
        request = urllib.request.Request(url, b"{}", {"Content-Type": "application/json"})
        with urllib.request.urlopen(request) as response:
            deployments = json.load(response)
        if deployments:
            break
        time.sleep(0.5)
    assert [deployment["name"] for deployment in deployments] == [f"every-night-{identity.of(machine.state).name}"]
    assert deployments[0]["schedules"][0]["schedule"]["cron"] == "30 2 * * *"
    assert deployments[0]["schedules"][0]["schedule"]["timezone"] == "Europe/Paris"


def test_an_edited_file_is_published_and_the_old_run_stays_in_history(machine: Machine, first: dict) -> None:
    edited = machine.state / "edited.csv"
    lines = applications(machine).read_text().splitlines()
    edited.write_text("\n".join(lines[:-1]) + "\n")
    night = machine.json("nightly", "--applications", str(edited))
    assert (night["outcome"], night["customers"]) == ("published", 199)
    with psycopg.connect(machine.json("status")["database_url"]) as reader:
        history = dict(reader.execute("SELECT run_id, status FROM reporting.run_history").fetchall())
    assert history[first["run_id"]] == history[night["run_id"]] == "published"


def test_the_same_file_again_is_unchanged(machine: Machine, first: dict) -> None:
    file = machine.state / "again.csv"
    shutil.copy(applications(machine), file)
    assert machine.json("nightly", "--applications", str(file), "--force")["outcome"] == "published"
    assert machine.json("nightly", "--applications", str(file))["outcome"] == "unchanged"


def test_up_tells_programs_of_what_does_not_look_right_in_the_night(machine: Machine, first: dict) -> None:
    whole = applications(machine).read_text()
    few = whole.splitlines()[:61]
    applications(machine).write_text("\n".join(line.replace(",", ";") for line in few))
    try:
        # As before, so that the watch goes on.
        done = machine("up", "--json", CREDITLENS_NOTIFY_URL="http://127.0.0.1:9/")
        answer = checked("up", done.stdout)
        (warning,) = answer["warnings"]
        assert "has only 60 customers" in warning and warning in done.stderr
        assert [note for note in answer["notes"] if "semicolons" in note and note in done.stderr]
        assert [note for note in answer["notes"] if "no line end" in note and note in done.stderr]
    finally:
        applications(machine).write_text(whole)


REFUSED: dict[str, tuple[Callable[[str], str] | None, str]] = {
    "a file that is not there": (None, "There is no file"),
    "an empty file": (lambda _: "", "is empty"),
    "a missing column": (
        lambda text: text.replace("AMT_CREDIT,", "AMT_CREDITS,", 1),
        "Column AMT_CREDIT is missing",
    ),
    "too many broken rows": (lambda text: text.replace(",Cash loans,", ",,"), "more than the allowed 1.0%"),
}


@pytest.mark.parametrize(("change", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_refused_input_is_one_sentence_and_exit_code_2(
    machine: Machine, first: dict, tmp_path: Path, change: Callable[[str], str] | None, message: str
) -> None:
    file = tmp_path / "applications.csv"
    if change:
        file.write_text(change(applications(machine).read_text()))
    done = machine("nightly", "--applications", str(file), "--json")
    assert done.returncode == 2
    answer = checked("nightly", done.stdout)
    assert answer["outcome"] == "refused"
    assert message in answer["message"]
    assert "Traceback" not in done.stderr
    assert message in done.stderr


def test_a_second_run_at_once_is_busy_with_exit_code_3(machine: Machine, first: dict) -> None:
    from db.runs.ledger import RUN_LOCK
    from flows.settings import Settings

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CREDITLENS_STATE", str(machine.state))
        patch.delenv("CREDITLENS_DATABASE_URL", raising=False)
        owner = Settings().embedded().url().set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(owner, autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(%s)", [RUN_LOCK])
        done = machine("nightly", "--applications", str(applications(machine)), "--json")
    assert done.returncode == 3
    assert checked("nightly", done.stdout)["outcome"] == "busy"


def test_a_database_that_does_not_answer_is_one_sentence_and_exit_code_1(machine: Machine) -> None:
    nobody = f"postgresql://someone:secret-password@127.0.0.1:{free_port(None)}/nowhere"
    done = machine("nightly", "--applications", "x.csv", DATABASE_URL=nobody)
    assert done.returncode == 1
    assert "Connection refused" in done.stderr
    assert "Traceback" not in done.stderr
    assert "secret-password" not in done.stderr


def test_a_setting_that_makes_no_sense_is_named(machine: Machine) -> None:
    done = machine("status", CREDITLENS_TIME_ZONE="Europe/Atlantis")
    assert done.returncode == 2
    assert "CREDITLENS_TIME_ZONE: 'Europe/Atlantis' is not a time zone" in done.stderr


def test_secrets_are_readable_by_their_owner_only_and_never_shown_to_people(machine: Machine, first: dict) -> None:
    secrets = machine.state / "secrets.json"
    assert secrets.stat().st_mode & 0o077 == 0
    shown = machine("status").stdout
    assert not [secret for secret in json.loads(secrets.read_text()).values() if secret in shown]


def test_a_short_secret_refuses_to_start(open_folder: Path) -> None:
    other = Machine(open_folder / "short-secret")
    other.state.mkdir()
    (other.state / "secrets.json").write_text('{"migrator": "changeme"}')
    (other.state / "secrets.json").chmod(0o600)
    done = other("up")
    assert done.returncode == 2
    assert "'migrator'" in done.stderr
    assert "shorter than 16" in done.stderr


@pytest.mark.parametrize(
    "command",
    ["up", "down", "status", "nightly", "train", "sample", "schedule", "watch", "migrate", "sql", "dashboards"],
)
def test_every_command_explains_itself(machine: Machine, command: str) -> None:
    done = machine(command, "--help")
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) > 8


def test_sql_opens_the_database_as_the_reader(machine: Machine, first: dict) -> None:
    shown = machine("sql", "-c", "\\! tr '\\0' ' ' < /proc/$PPID/cmdline").stdout
    assert "user=creditlens_analyst" in shown and "password" not in shown, shown
    done = machine("sql", "-Atc", "SELECT current_user, count(*) FROM reporting.customer")
    assert done.stdout.startswith("creditlens_analyst|")


def on_a_terminal(machine: Machine, *arguments: str) -> tuple[int, int]:
    """Start a command on a terminal of its own; its process and the terminal's other end."""
    pid, terminal = pty.fork()
    if pid == 0:
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("CREDITLENS_", "PREFECT_"))
        }
        own = {"CREDITLENS_STATE": str(machine.state), "PAGER": "cat", **machine.environment}
        os.execve(sys.executable, [*COMMAND, *arguments], {**kept, **own})
    return pid, terminal


def read_until(terminal: int, word: str, seconds: float = 60) -> str:
    """What the terminal shows until the word."""
    shown, deadline = "", time.monotonic() + seconds
    while word not in shown:
        assert time.monotonic() < deadline, shown
        if select.select([terminal], [], [], 1)[0]:
            shown += os.read(terminal, 4096).decode(errors="replace")
    return shown


def test_ctrl_c_ends_a_query_of_sql_and_not_psql(machine: Machine, first: dict) -> None:
    pid, terminal = on_a_terminal(machine, "sql")
    try:
        read_until(terminal, "=>")
        os.write(terminal, b"SELECT 'as' || 'leep'; SELECT pg_sleep(100);\n")
        read_until(terminal, "asleep")
        shown, deadline, pressed = "", time.monotonic() + 80, 0.0
        while "canceling statement due to user request" not in shown:
            assert time.monotonic() < deadline, shown
            # As a person presses it again who sees nothing happen: its echo alone is no reason to.
            if time.monotonic() > pressed + 5:
                os.write(terminal, b"\x03")
                pressed = time.monotonic()
            if select.select([terminal], [], [], 0.5)[0]:
                shown += os.read(terminal, 4096).decode(errors="replace")
        # A Ctrl+C that came late takes letters of what is typed next, so it is typed until it is answered.
        deadline = time.monotonic() + 60
        while "42" not in shown:
            assert time.monotonic() < deadline, shown
            os.write(terminal, b"\n;SELECT 6 * 7 AS answer;\n")
            if select.select([terminal], [], [], 2)[0]:
                shown += os.read(terminal, 4096).decode(errors="replace")
        os.write(terminal, b"\n\\q\n")
        _, ended = os.waitpid(pid, 0)
        assert os.waitstatus_to_exitcode(ended) == 0
        assert "Traceback" not in shown and "creditlens:" not in shown
    finally:
        os.close(terminal)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_sql_leaves_no_psql_behind(machine: Machine, first: dict, number: signal.Signals) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CREDITLENS_", "PREFECT_"))}
    process = subprocess.Popen(
        [*COMMAND, "sql", "-c", "SELECT 'begun'", "-c", "SELECT pg_sleep(20)"],
        env={**kept, "CREDITLENS_STATE": str(machine.state)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    while "begun" not in process.stdout.readline():
        assert process.poll() is None
    started = time.monotonic()
    while process.poll() is None:
        # psql takes no notice of a Ctrl+C between two queries; who pressed it presses it again.
        process.send_signal(number)
        assert time.monotonic() - started < 15
        time.sleep(0.2)
    _, errors = process.communicate(timeout=15)
    assert process.returncode != 0
    assert "Traceback" not in errors
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def test_a_container_is_healthy_once_a_night_is_published_whatever_became_of_the_last_one(
    machine: Machine, first: dict
) -> None:
    compose = yaml.safe_load((PROJECT / "docker-compose.yml").read_text())
    shell, line = compose["services"]["schedule"]["healthcheck"]["test"]
    command, *question = shlex.split(line)
    assert shell == "CMD-SHELL"
    assert command == "creditlens"
    assert machine(*question).returncode == 0
    nothing = [part.replace("reporting.published_run", "reporting.rejected_row WHERE false") for part in question]
    assert machine(*nothing).returncode == 1


def test_down_stops_what_up_started_and_up_finds_everything_again(machine: Machine, first: dict) -> None:
    # An earlier test's refused file is the last run, which a monitor must hear of.
    before = machine.json("status", code=1)
    assert "refused" in before["message"]
    stopped = {"watch": True, "dashboards": False, "schedule": True, "prefect": True, "postgres": True}
    assert machine.json("down") == stopped
    status = machine.json("status", code=1)
    assert (status["healthy"], status["published"], status["prefect_url"]) == (False, None, None)
    assert machine.json("down") == dict.fromkeys(stopped, False)
    machine.json("migrate")
    assert machine.json("status", code=1)["published"] == before["published"]


def test_any_postgres_serves_and_the_container_command_goes_on_serving(
    foreign_postgres: str, open_folder: Path, prefect_api: str
) -> None:
    other = Machine(
        open_folder / "container", {"CREDITLENS_DATABASE_URL": foreign_postgres, "PREFECT_API_URL": prefect_api}
    )
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CREDITLENS_", "PREFECT_"))}
    log = open_folder / "container.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [*COMMAND, "up", "--foreground", "--no-dashboards"],
            env={**kept, **SIZES, "CREDITLENS_STATE": str(other.state), **other.environment},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            deadline = time.monotonic() + 500
            while "Stop with Ctrl+C" not in log.read_text():
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.5)
            assert not (other.state / "postgres").exists()
            status = other.json("status")
            assert status["published"]["customers"] == 200
            assert status["schedule"] in {"starting", "active"}
            second = other("schedule")
            assert second.returncode == 3
            assert f"already served by process {process.pid};" in second.stderr
            # Also in the moment before the first one has noted its number, and for another container.
            (other.state / "schedule.pid").unlink()
            third = other("schedule")
            assert third.returncode == 3
            assert "already served by another process;" in third.stderr
            assert process.poll() is None
            with psycopg.connect(status["database_url"]) as reader:
                assert reader.execute("SELECT count(*) FROM reporting.customer").fetchone() == (200,)
                assert reader.info.server_version < 180000
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=60)
