"""secrets.json: made whole by one of many, refused in one sentence where wrong, healed where lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psycopg
import pytest

from flows.settings import SECRETS, Settings, SettingsError
from tests import ordinary_user

PROJECT = Path(__file__).resolve().parents[3]


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CREDITLENS_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def path(state: Path) -> Path:
    """A good file."""
    Settings().secrets()
    return state / "secrets.json"


def changed(secrets: dict[str, str], **values: object) -> bytes:
    return json.dumps({**secrets, **values}).encode()


WRONG: dict[str, tuple[Callable[[dict[str, str], bytes], bytes], str]] = {
    "cut in the middle": (lambda _, text: text[: len(text) // 2], "is damaged"),
    "no JSON": (lambda *_: b"postgres: hunter2", "is damaged"),
    "no text": (lambda *_: b"\x89\x50\x4e\x47\xff\xfe\xfd", "is damaged"),
    "a list": (lambda secrets, _: json.dumps(list(secrets.values())).encode(), "holds no passwords by name"),
    "a number": (lambda *_: b"42", "holds no passwords by name"),
    "a password that is a number": (lambda secrets, _: changed(secrets, writer=1234567890123456), "'writer'"),
    "a password that is null": (lambda secrets, _: changed(secrets, writer=None), "'writer'"),
    "a password of two lines": (lambda secrets, _: changed(secrets, writer="0123456789\n0123456789"), "'writer'"),
    "a short password": (lambda secrets, _: changed(secrets, writer="changeme"), "'writer' .* shorter than 16"),
}


@pytest.mark.parametrize(("change", "message"), WRONG.values(), ids=WRONG.keys())
def test_a_file_that_is_wrong_is_refused_in_one_sentence_with_the_way_out_and_left_as_it_is(
    path: Path, change: Callable[[dict[str, str], bytes], bytes], message: str
) -> None:
    text = path.read_bytes()
    path.write_bytes(change(json.loads(text), text))
    before = path.read_bytes()
    with pytest.raises(SettingsError, match=message) as caught:
        Settings().secrets()
    assert str(path) in str(caught.value)
    assert path.read_bytes() == before
    shown = str(caught.value)
    assert "\n" not in shown and not [secret for secret in json.loads(text).values() if secret in shown]


@pytest.mark.parametrize("text", [b"", b"\n", b"\0" * 512], ids=["empty", "a blank line", "zeros after a crash"])
def test_a_file_that_holds_nothing_is_made_anew(path: Path, text: bytes) -> None:
    path.write_bytes(text)
    assert set(Settings().secrets()) == set(SECRETS)
    assert set(json.loads(path.read_bytes())) == set(SECRETS)


def test_a_file_of_another_user_is_refused_whoever_we_are(path: Path) -> None:
    code = "from flows.settings import Settings; Settings().secrets()"
    user = ordinary_user.user(12345)
    if os.geteuid() == 0:
        os.chown(path, 12345, 12345)
        with pytest.raises(SettingsError, match=f"belongs to another user.*chown 0 {path}"):
            Settings().secrets()
        os.chown(path, 0, 0)
    else:
        path.chmod(0)
    for folder in (path.parent, *path.parents[1:4]):
        if folder != Path("/tmp") and folder.stat().st_uid == os.geteuid():
            folder.chmod(0o755)
    done = subprocess.run(
        [*user.before, user.python, "-c", code], env={**os.environ, **user.environment},
        cwd=PROJECT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "cannot be read: Permission denied" in done.stderr.splitlines()[-1]


def test_where_the_folder_cannot_be_made_one_sentence_names_the_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("CREDITLENS_STATE", str(tmp_path / "file" / "state"))
    with pytest.raises(SettingsError, match="CREDITLENS_STATE"):
        Settings().secrets()


SIXTY_AT_ONCE = """
import os, sys
from flows.settings import Settings

read, write = os.pipe()
children = []
for _ in range(60):
    child = os.fork()
    if child == 0:
        os.close(write)
        os.read(read, 1)
        try:
            os.write(1, (str(sorted(Settings().secrets().items())) + "\\n").encode())
        except BaseException as error:
            os.write(1, f"{type(error).__name__}: {error}\\n".encode())
        os._exit(0)
    children.append(child)
# Nothing is written: all of them go on when the last end of the pipe for writing is closed.
os.close(write)
for child in children:
    os.waitpid(child, 0)
"""


def test_sixty_first_commands_at_once_agree_and_leave_one_whole_file(state: Path) -> None:
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", SIXTY_AT_ONCE],
            cwd=PROJECT, capture_output=True, text=True, check=True,
        )  # fmt: skip
        answers = done.stdout.splitlines()
        assert len(answers) == 60
        assert set(answers) == {str(sorted(json.loads((state / "secrets.json").read_text()).items()))}
        assert {file.name for file in state.iterdir()} == {"secrets.json", "secrets.lock"}
        (state / "secrets.json").unlink()


def test_what_a_killed_process_left_half_written_is_removed(state: Path) -> None:
    state.mkdir()
    (state / "secrets.abc.partial").write_text('{"postgres": "half')
    Settings().secrets()
    assert not list(state.glob("*.partial"))


# --- beside a database that knows other passwords ---------------------------------------------------------------


class Machine:
    """An installation with the embedded Postgres and an erasure on record, by the real command."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.secrets = state / "secrets.json"

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("CREDITLENS_")}
        kept.pop("DATABASE_URL", None)
        return subprocess.run(
            [sys.executable, "-m", "flows.cli", *arguments],
            env={**kept, "CREDITLENS_STATE": str(self.state)},
            cwd=PROJECT, capture_output=True, text=True, check=False,
        )  # fmt: skip

    def read(self) -> dict[str, str]:
        return json.loads(self.secrets.read_text())

    def lets_in(self) -> set[str]:
        """The roles that get in with what secrets.json says now."""
        port = int((self.state / "postgres" / "data" / "postmaster.pid").read_text().splitlines()[3])
        inside = set()
        for role, key in (("postgres", "postgres"), *((f"creditlens_{key}", key) for key in ROLES)):
            try:
                with psycopg.connect(
                    host="127.0.0.1", port=port, user=role, password=self.read()[key], dbname="creditlens"
                ):
                    inside.add(key)
            except psycopg.OperationalError:
                continue
        return inside


ROLES = ("migrator", "writer", "analyst", "dashboard")
ALL = {"postgres", *ROLES}


@pytest.fixture(scope="module")
def machine(open_folder: Path) -> Iterator[Machine]:
    made = Machine(open_folder / "lost secrets")
    done = made("migrate")
    assert done.returncode == 0, done.stderr
    yield made
    made("down")


def test_secrets_that_were_lost_beside_a_running_database_are_made_anew_and_set_in_it(machine: Machine) -> None:
    assert machine.lets_in() == ALL
    before = machine.read()
    (machine.state / "erasures.jsonl").write_text('{"event": "begun"}\n')
    machine.secrets.unlink()
    done = machine("migrate", "--json")
    assert done.returncode == 0, done.stderr
    assert "were lost and are made anew" in done.stderr
    assert "a restore will not know whom to erase again" in done.stderr
    assert not set(before.values()) & set(machine.read().values())
    assert machine.lets_in() == ALL
    rules = (machine.state / "postgres" / "data" / "pg_hba.conf").read_text().splitlines()
    assert {line.split()[-1] for line in rules if line.strip() and not line.startswith("#")} == {"scram-sha-256"}
    log = (machine.state / "postgres" / "postgres.log").read_text()
    assert not [secret for secret in machine.read().values() if secret in log]


def test_the_same_where_the_database_was_down(machine: Machine) -> None:
    assert machine("down").returncode == 0
    machine.secrets.unlink()
    done = machine("migrate", "--json")
    assert done.returncode == 0, done.stderr
    assert machine.lets_in() == ALL


@pytest.mark.parametrize("keys", [["postgres"], ROLES], ids=["the superuser's", "all others"])
def test_passwords_that_were_changed_in_the_file_are_set_in_the_database(
    machine: Machine, keys: Sequence[str]
) -> None:
    new = {key: f'{key}: it\'s \\ "quoted" -- and long' for key in keys}
    machine.secrets.write_text(json.dumps({**machine.read(), **new}))
    done = machine("migrate", "--json")
    assert done.returncode == 0, done.stderr
    assert machine.lets_in() == ALL


def test_a_command_before_that_says_how_to_set_them(machine: Machine) -> None:
    machine.secrets.write_text(json.dumps({**machine.read(), "migrator": "another password, long enough"}))
    done = machine("publish", "1", "--json")
    assert done.returncode == 1
    assert "creditlens up" in json.loads(done.stdout)["message"]
    assert "Traceback" not in done.stderr
    assert machine("migrate").returncode == 0


def test_rotated_secrets_are_set_while_the_database_goes_on_and_the_key_of_erased_people_stays(
    machine: Machine,
) -> None:
    before, server = machine.read(), (machine.state / "postgres" / "data" / "postmaster.pid").read_text()
    done = machine("rotate-secrets", "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    after = machine.read()
    assert {name for name in before if after[name] == before[name]} == {"privacy"} == set(answer["kept"])
    assert {*answer["rotated"], "privacy"} >= set(before)
    assert machine.lets_in() == ALL
    assert (machine.state / "postgres" / "data" / "postmaster.pid").read_text() == server
    log = (machine.state / "postgres" / "postgres.log").read_text()
    assert not [secret for secret in machine.read().values() if secret in log]


def test_one_secret_is_rotated_alone_and_what_is_none_or_must_stay_is_refused(machine: Machine) -> None:
    before = machine.read()
    done = machine("rotate-secrets", "analyst", "--json")
    assert done.returncode == 0, done.stderr
    after = machine.read()
    assert {name for name in before if after[name] != before[name]} == {"analyst"}
    assert machine.lets_in() == ALL
    for name in ("privacy", "nobody"):
        refused = machine("rotate-secrets", name, "--json")
        assert refused.returncode == 2
        assert name in json.loads(refused.stdout)["message"]
    assert machine.read() == after
