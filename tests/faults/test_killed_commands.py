"""Every command that changes something, killed at random moments: what a person would type next puts it right."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import psutil
import pytest
from sqlalchemy.exc import DBAPIError

from db import registry, schema
from db.access import portfolios, roles
from db.people import rows as people_rows
from db.runs import ledger
from db.server import backup, manifest
from db.server import restore as restores
from db.server.embedded import free_port
from flows.operations import backups, status
from flows.operations import schedule as scheduling
from flows.operations.roles import ensure_roles
from flows.services import database
from flows.settings import Settings
from scoring.sample import applications
from tests.faults.conftest import Site
from tests.faults.nights import OURS, Night, start
from tests.installation import Installation

pytestmark = pytest.mark.timeout(1800)
# Customers of the second file, which readers see of the backup.
FIRST_ID, CUSTOMERS = 600_051, 1_900
# A command is killed alone, or with the programs that it runs, or asked to end.
Ending = tuple[signal.Signals, bool]
ENDINGS: tuple[Ending, ...] = ((signal.SIGKILL, False), (signal.SIGKILL, True), (signal.SIGTERM, False))


def end(command: Night, ending: Ending) -> None:
    """Send the signal to the command, or to the command and the programs that it runs."""
    number, programs_too = ending
    (os.killpg if programs_too and os.getpgid(command.pid) == command.pid else os.kill)(command.pid, number)


@dataclass
class Scene:
    """An installation with two published nights, the backup of it, and what has been done to it since.

    Attributes
    ----------
    seconds: how long each command is thought to take; learned from those that ended by themselves.
    typed, hit: how often each command was typed to be killed, and how often a signal ended it.
    """

    site: Site
    chance: random.Random
    backup: Path
    erased: list[int] = field(default_factory=list)
    number: int = 0
    seconds: dict[str, float] = field(
        default_factory=lambda: {
            "train": 2.0, "restore": 2.0, "erase": 1.5, "backup": 1.0, "migrate": 1.0, "publish": 0.3,
            "portfolio": 0.3, "up": 4.0, "schedule": 5.0,
        }
    )  # fmt: skip
    typed: Counter[str] = field(default_factory=Counter)
    hit: Counter[str] = field(default_factory=Counter)
    log: list[str] = field(default_factory=list)

    @property
    def installation(self) -> Installation:
        return self.site.installation

    def type_next(self, *arguments: str, **environment: str) -> Night:
        """A command that nobody touches, once it has ended; typed again while what was killed is still dying."""
        deadline = time.monotonic() + 60
        while True:
            command = self.site.start(*arguments, **environment)
            if command.wait() != 3 or time.monotonic() > deadline:
                assert "Traceback" not in command.errors, command.errors
                return command

    def learn(self, command: Night, name: str) -> None:
        """How long a command takes, from one that ended by itself; what was killed may have saved it work."""
        self.seconds[name] = (self.seconds[name] + time.monotonic() - command.started) / 2

    def require_readers_see_whole_runs(self, *, out: bool = False, going: int = 0) -> None:
        """Readers see all customers of a night but those erased, or are kept out where that may be.

        Of `going` customers the erasure may have got as far as the database.
        """
        erased = ", ".join(map(str, [0, *self.erased]))
        back = f"SELECT count(*) FROM reporting.customer WHERE customer_id IN ({erased})"
        try:
            seen, back = self.site.reader.look().customers, self.site.reader.value(back)
        except DBAPIError:
            if not out:
                raise
            return
        assert back == 0, "Somebody who was erased is back"
        # The erased were in both files.
        whole = {(size - len(self.erased) - more,) * 3 for size in (2_000, CUSTOMERS) for more in range(going + 1)}
        assert seen in whole, seen

    def write_tonights(self, folder: Path) -> None:
        """Put the one file or the other where `up` finds it, without those who were erased."""
        folder.mkdir(exist_ok=True)
        former = self.installation.folder / "application_train.csv"
        if not (folder / former.name).exists():
            (folder / former.name).symlink_to(former)
        frame = pl.read_csv(self.chance.choice(self.site.files), infer_schema=False)
        erased = pl.col("SK_ID_CURR").is_in([str(customer) for customer in self.erased])
        frame.filter(~erased).write_csv(folder / "tonight.partial")
        (folder / "tonight.partial").replace(folder / "application_test.csv")

    def require_one_schedule(self, foreground: Night | None = None) -> None:
        """Nights will start, and one process only starts them."""
        settings = self.installation.settings
        service, deadline = scheduling.schedule_service(settings), time.monotonic() + 120
        while (found := scheduling.standing(settings, os.environ["PREFECT_API_URL"])).state != "active":
            log = foreground.errors if foreground else service.log.read_text()
            assert time.monotonic() < deadline, (found, log)
            time.sleep(0.2)
        serving = [process.pid for process in services_of(settings.state, "flows.cli schedule")]
        assert serving == ([] if foreground else [service.pid()])

    def require_good(self) -> None:
        """Nothing is left of whatever was killed, and status says that all is well."""
        self.require_readers_see_whole_runs()
        found = status.status_json(self.installation.settings)
        assert found["problems"] == []
        assert self.installation.value("SELECT count(*) FROM credit.scoring_run WHERE status = 'running'") == 0
        assert self.installation.value("SELECT count(*) FROM credit.model_version WHERE stage = 'current'") == 1
        assert self.installation.value("SELECT to_regnamespace('creditlens_restore')::text") is None
        for customer in self.erased:
            assert people_rows.find(self.installation.engine, customer) == {}


def services_of(state: Path, word: str = "") -> list[psutil.Process]:
    """The installation's services and their programs, those with the word in their command line."""
    found = []
    for process in psutil.process_iter():
        try:
            command, environment = " ".join(process.cmdline()), process.environ()
        except psutil.Error:
            continue
        # The tests' own fork server may have been started with the same variable.
        if environment.get("CREDITLENS_STATE") == str(state) and word in command and "forkserver" not in command:
            found.append(process)
    return found


# --- the commands: how each is typed, what may come of it, and what has to be so in the end ---------------------


def train(scene: Scene) -> None:
    former = scene.installation.folder / f"former-{scene.number}.csv"
    applications(700, seed=scene.number, labelled=True).write_csv(former)
    attempt(scene, "train", "--former", str(former), "--trials", "0")
    # A person who was erased was a former customer of nobody.
    (model,) = scene.installation.rows("SELECT model_id FROM credit.model_version WHERE stage = 'current'")
    counts = scene.installation.rows(
        f"SELECT count(*) FROM credit.former_customer WHERE model_id = {model[0]}"
        f" UNION ALL SELECT count(DISTINCT feature_id) FROM credit.former_distribution WHERE model_id = {model[0]}"
    )
    assert counts[0] == (700,) and counts[1] > (50,)


def erase(scene: Scene) -> None:
    customer = FIRST_ID + 100 + scene.number
    attempt(scene, "erase", str(customer), "--yes", going=1)
    scene.erased.append(customer)


def save(scene: Scene) -> None:
    file = scene.installation.folder / f"saved-{scene.number}.backup"
    attempt(scene, "backup", str(file), done=file.exists)
    with database.database(scene.installation.settings) as engine:
        saved = restores.read_manifest(file).data
        assert restores.differences(engine.url, saved, manifest.SCHEMAS) == []
    for left in file.parent.glob(f".saved-{scene.number}.backup.*"):
        for part in left.iterdir():
            os.utime(part, (time.time() - 3600,) * 2)
    backup._remove_leftovers(file.parent)
    assert list(file.parent.glob(".saved*")) == []
    file.unlink()


def restore(scene: Scene) -> None:
    # The one command or the other puts it right.
    again = ("migrate",) if scene.chance.random() < 0.5 else None
    attempt(scene, "restore", str(scene.backup), "--force", again=again, out=True)


def migrate(scene: Scene) -> None:
    with database.database(scene.installation.settings) as engine:
        schema.downgrade(engine, "0005")
    attempt(scene, "migrate", out=True)
    with database.database(scene.installation.settings) as engine:
        assert schema.current(engine) == schema.head()


def publish(scene: Scene) -> None:
    seen = scene.site.reader.run_id
    # After many nights the details of the first ones are gone.
    kept = "SELECT min(run_id) FROM credit.scoring_run WHERE status = 'published' AND retired_at IS NULL"
    wanted = int(str(scene.installation.value(f"{kept} AND run_id <> {seen}")))
    attempt(scene, "publish", str(wanted), done=lambda: scene.site.reader.run_id == wanted)
    assert scene.site.reader.run_id == wanted


def portfolio(scene: Scene) -> None:
    file = scene.installation.folder / f"portfolio-{scene.number}.csv"
    rows = [f"adam{scene.number},{customer}" for customer in range(FIRST_ID + 1_000, FIRST_ID + 1_500)]
    file.write_text("\n".join(["username,customer_id", *rows]) + "\n")
    attempt(scene, "portfolio", "assign", "--file", str(file))
    with database.database(scene.installation.settings) as engine:
        assert len(portfolios.assignments(engine, f"adam{scene.number}")) == 500


def up(scene: Scene) -> None:
    """On any later day: with another night's file, sometimes with a newer program or a schedule that is off."""
    settings, folder = scene.installation.settings, scene.installation.folder / "data"
    scene.write_tonights(folder)
    outdated = scene.chance.random() < 0.3
    if outdated:
        with database.database(settings) as engine:
            schema.downgrade(engine, "0005")
    arguments, environment = ("up", "--no-dashboards"), {"CREDITLENS_DATA": str(folder)}
    attempt(scene, *arguments, out=outdated, environment=environment)
    scene.require_one_schedule()
    if scene.chance.random() < 0.5:
        scheduling.schedule_service(settings).stop()


def schedule(scene: Scene) -> None:
    settings, folder = scene.installation.settings, scene.installation.folder / "data"
    scene.write_tonights(folder)
    scheduling.schedule_service(settings).stop()
    # The one command or the other puts it right.
    environment, again = {"CREDITLENS_DATA": str(folder)}, ("up", "--no-dashboards")
    if scene.chance.random() < 0.5:
        attempt(scene, "schedule", again=again, environment=environment)
        scene.require_one_schedule()
        scheduling.schedule_service(settings).stop()
        return
    attempt(scene, "schedule", again=(), environment=environment)
    following = scene.site.start("schedule", **environment)
    scene.require_one_schedule(following)
    os.kill(following.pid, signal.SIGINT)
    following.wait()
    assert "Traceback" not in following.errors, following.errors


COMMANDS: tuple[Callable[[Scene], None], ...] = (
    *(train, erase, save, restore, migrate, publish, portfolio, up, schedule),
)


def attempt(
    scene: Scene,
    *arguments: str,
    again: tuple[str, ...] | None = None,
    done: Callable[[], bool] = lambda: False,
    out: bool = False,
    going: int = 0,
    environment: dict[str, str] | None = None,
) -> None:
    """Type the command, kill it at a random moment, and type what a person would type next.

    Parameters
    ----------
    again: that, if it is not the same command; nothing if it is empty.
    done: whether all was done although the command was killed; typed again, it may then be refused.
    out, going: what readers may see meanwhile.
    """
    name, given = arguments[0], environment or {}
    delay, ending = scene.chance.uniform(0.0, scene.seconds[name]), scene.chance.choice(ENDINGS)
    command = scene.site.start(*arguments, **given)
    while command.running and time.monotonic() < command.started + delay:
        time.sleep(0.005)
    sent = command.running
    if sent:
        end(command, ending)
    code = command.wait()
    # The schedule ends well when it is asked to end.
    hit = sent and (code in {-ending[0], 1} or name == "schedule")
    scene.typed[name] += 1
    scene.hit[name] += hit
    whom = f"{ending[0].name}{' with its programs' if ending[1] else ''}" if hit else "not hit"
    said = f"{' '.join(arguments)}: {whom} after {delay:.2f} s: {code}"
    scene.log.append(said)
    if not hit:
        scene.learn(command, name)
    if code >= 0:
        assert "Traceback" not in command.errors, (said, command.errors)
    if code == 1:
        assert "Ended by SIGTERM; " in command.errors, (said, command.errors)
    scene.require_readers_see_whole_runs(out=out, going=going)
    if (code == 0 and not hit) or again == ():
        return
    was_done = done()
    following = scene.type_next(*(again or arguments), **given)
    assert following.wait() == (2 if was_done else 0), (said, following.errors)
    if again is None and not was_done:
        scene.learn(following, name)


@pytest.fixture(scope="module")
def scene(site: Site, seed: int, reader_passwords: dict[str, str]) -> Scene:
    settings = site.installation.settings
    # The reading roles belong to the test server, so their passwords are the session's.
    own = {"analyst": reader_passwords[roles.ANALYST], "dashboard": reader_passwords[roles.DASHBOARD]}
    (settings.state / "secrets.json").write_text(json.dumps({**settings.secrets(), **own}))
    with database.database(settings) as engine:
        ensure_roles(settings, engine)
    for file in site.files:
        night = site.night(file)
        assert night.wait() == 0, night.errors
    file = site.installation.folder / "first.backup"
    backups.save(settings, file)
    return Scene(site, random.Random(seed), file)


def test_whatever_is_killed_the_next_command_puts_it_right(scene: Scene, everything: bool) -> None:
    wanted = 10 if everything else 1
    names = {command: {"save": "backup"}.get(command.__name__, command.__name__) for command in COMMANDS}
    began = time.monotonic()
    try:
        while left := [command for command, name in names.items() if scene.hit[name] < wanted]:
            command = scene.chance.choice(left)
            assert scene.typed[names[command]] < 4 * wanted, "Hardly any signal hits it"
            scene.number += 1
            command(scene)
            scene.require_good()
    finally:
        print("\n".join(scene.log))
        hits = ", ".join(f"{name} {scene.hit[name]} of {typed}" for name, typed in sorted(scene.typed.items()))
        print(f"signals that hit, of commands typed, in {time.monotonic() - began:.0f} s: {hits}")


# --- the first start --------------------------------------------------------------------------------------------


@dataclass
class First:
    """An installation that is not there yet: its state folder, and the environment that `up` is typed in."""

    folder: Path
    environment: dict[str, str]
    typed: int = 0

    @property
    def settings(self) -> Settings:
        return Settings()

    def up(self) -> Night:
        self.typed += 1
        return start(
            "up", "--no-dashboards", "--json", folder=self.folder / f"up-{self.typed}", environment=self.environment
        )


@pytest.fixture
def first(open_folder: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[First]:
    folder = open_folder / f"first-start-{request.node.name.replace('[', '-').rstrip(']')}"
    folder.mkdir()
    environment = {
        "CREDITLENS_STATE": str(folder / "state"),
        "CREDITLENS_SYNTHETIC_FORMER": "600",
        "CREDITLENS_SYNTHETIC_NEW": "200",
        "CREDITLENS_TRIALS": "0",
        "CREDITLENS_THREADS": "1",
        "CREDITLENS_PREFECT_PORT": str(free_port(None)),
    }
    for name in [name for name in os.environ if name.startswith(OURS)]:
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    made = First(folder, environment)
    yield made
    down = start("down", folder=folder / "down", environment=environment)
    assert down.wait() == 0, down.errors
    left = services_of(folder / "state")
    for process in left:
        process.kill()
    assert left == [], "Nobody knows of them"


@pytest.mark.parametrize("chain", [1, pytest.param(2, marks=pytest.mark.whole)])
def test_a_first_start_that_is_killed_again_and_again_is_made_good_by_the_next_up(
    first: First, seed: int, everything: bool, chain: int
) -> None:
    chance = random.Random(seed + chain)
    log, hits = [], 0
    for _ in range(5 if everything else 2):
        # Half of the work is done within the first seconds.
        delay, ending = 0.2 * (75.0 ** chance.random()), chance.choice(ENDINGS)
        command = first.up()
        while command.running and time.monotonic() < command.started + delay:
            time.sleep(0.005)
        if command.running:
            end(command, ending)
        code = command.wait()
        hits += code != 0
        last = (command.errors.splitlines() or ["nothing"])[-1]
        log.append(f"{ending[0].name} after {delay:.2f} s: {code}; it had said: {last}")
        assert code in {0, -ending[0]} or (code == 1 and "Ended by SIGTERM; " in command.errors), command.errors
        assert "Traceback" not in command.errors, command.errors
    print("\n".join(log))
    print(f"signals that hit: {hits} of {len(log)}")
    command = first.up()
    assert command.wait(240) == 0, (log, command.errors)
    assert "Traceback" not in command.errors
    settings = first.settings
    server = settings.embedded()
    assert server.port() is not None, server.log.read_text()
    with database.database(settings) as engine:
        assert schema.current(engine) == schema.head()
        model, run = registry.current_model(engine), ledger.published(engine)
        assert model is not None and model.training_rows == 600
        assert run is not None and run.customers == 200
        assert "wal_level" in (server.data / "postgresql.auto.conf").read_text()
    problems = status.status_json(settings)["problems"]
    assert problems == []
    left = [path.name for path in settings.state.rglob("*partial*")]
    assert [name for name in left if not name.startswith(".application_")] == []
