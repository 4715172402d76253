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

import pytest
from sqlalchemy.exc import DBAPIError

from db import backup, portfolios, privacy, registry, roles, runs, schema
from flows import backups, health, services
from flows.preparing import ensure_roles
from flows.settings import Settings
from scoring.sample import applications
from tests.faults.conftest import Site
from tests.faults.nights import Night, start
from tests.installation import Installation

pytestmark = pytest.mark.timeout(1800)
# Customers of the second file, which readers see of the backup.
FIRST_ID, CUSTOMERS = 600_051, 1_900
# A signal that asks for an end is one time in three what ends a command.
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM)


@dataclass
class Scene:
    """An installation with two published nights, the backup of it, and what has been done to it since."""

    site: Site
    chance: random.Random
    backup: Path
    runs: tuple[int, int]
    erased: list[int] = field(default_factory=list)
    number: int = 0

    @property
    def installation(self) -> Installation:
        return self.site.installation

    def type_next(self, *arguments: str) -> Night:
        """A command that nobody touches, once it has ended; typed again while what was killed is still dying."""
        deadline = time.monotonic() + 60
        while True:
            command = self.site.start(*arguments)
            if command.wait() != 3 or time.monotonic() > deadline:
                assert "Traceback" not in command.errors, command.errors
                return command

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
        # The erased are in both files.
        whole = {(size - len(self.erased) - more,) * 3 for size in (2_000, CUSTOMERS) for more in range(going + 1)}
        assert seen in whole, seen

    def require_good(self) -> None:
        """Nothing is left of whatever was killed, and status says that all is well."""
        self.require_readers_see_whole_runs()
        found = health.status_json(self.installation.settings)
        assert found["problems"] == []
        assert self.installation.value("SELECT count(*) FROM credit.scoring_run WHERE status = 'running'") == 0
        assert self.installation.value("SELECT count(*) FROM credit.model_version WHERE stage = 'current'") == 1
        assert self.installation.value("SELECT to_regnamespace('creditlens_restore')::text") is None
        for customer in self.erased:
            assert privacy.find(self.installation.engine, customer) == {}


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
    with services.database(scene.installation.settings) as engine:
        saved = backup.read_manifest(file).data
        assert backup.differences(engine.url, saved, backup.SCHEMAS) == []
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
    with services.database(scene.installation.settings) as engine:
        schema.downgrade(engine, "0005")
    attempt(scene, "migrate", out=True)
    with services.database(scene.installation.settings) as engine:
        assert schema.current(engine) == schema.head()


def publish(scene: Scene) -> None:
    seen = scene.site.reader.run_id
    wanted = next(run_id for run_id in scene.runs if run_id != seen)
    attempt(scene, "publish", str(wanted), done=lambda: scene.site.reader.run_id == wanted)
    assert scene.site.reader.run_id == wanted


def portfolio(scene: Scene) -> None:
    file = scene.installation.folder / f"portfolio-{scene.number}.csv"
    rows = [f"adam{scene.number},{customer}" for customer in range(FIRST_ID + 1_000, FIRST_ID + 1_500)]
    file.write_text("\n".join(["username,customer_id", *rows]) + "\n")
    attempt(scene, "portfolio", "assign", "--file", str(file))
    with services.database(scene.installation.settings) as engine:
        assert len(portfolios.assignments(engine, f"adam{scene.number}")) == 500


COMMANDS: tuple[Callable[[Scene], None], ...] = (train, erase, save, restore, migrate, publish, portfolio)


def attempt(
    scene: Scene,
    *arguments: str,
    again: tuple[str, ...] | None = None,
    done: Callable[[], bool] = lambda: False,
    out: bool = False,
    going: int = 0,
) -> None:
    """Type the command, kill it at a random moment, and type what a person would type next.

    Parameters
    ----------
    again: that, if it is not the same command.
    done: whether all was done although the command was killed; typed again, it may then be refused.
    out, going: what readers may see meanwhile.
    """
    longest = DURATIONS.get(arguments[0], 2.0)
    delay, number = scene.chance.uniform(0.0, longest), scene.chance.choice(SIGNALS)
    started = time.monotonic()
    command = scene.site.start(*arguments)
    while command.running and time.monotonic() < started + delay:
        time.sleep(0.005)
    killed = command.running
    if killed:
        os.kill(command.pid, number)
    else:
        DURATIONS[arguments[0]] = 0.9 * longest
    code = command.wait()
    said = f"{' '.join(arguments)} {number.name if killed else 'not killed'} after {delay:.2f} s: {code}"
    LOG.append(said)
    if code != -number:
        assert "Traceback" not in command.errors, (said, command.errors)
    if code == 1:
        assert "Ended by SIGTERM; " in command.errors, (said, command.errors)
    scene.require_readers_see_whole_runs(out=out, going=going)
    if code == 0:
        return
    was_done = done()
    following = scene.type_next(*(again or arguments))
    assert following.wait() == (2 if was_done else 0), (said, following.errors)


# How long each takes at most; learned from those that had ended before they could be killed.
DURATIONS = {"train": 5.0, "restore": 4.0, "erase": 5.0, "backup": 2.5, "migrate": 3.0}
LOG: list[str] = []


@pytest.fixture(scope="module")
def scene(site: Site, seed: int, reader_passwords: dict[str, str]) -> Scene:
    settings = site.installation.settings
    # The reading roles belong to the test server, so their passwords are the session's.
    own = {"analyst": reader_passwords[roles.ANALYST], "dashboard": reader_passwords[roles.DASHBOARD]}
    (settings.state / "secrets.json").write_text(json.dumps({**settings.secrets(), **own}))
    with services.database(settings) as engine:
        ensure_roles(settings, engine)
    numbers = []
    for file in site.files:
        night = site.night(file)
        assert night.wait() == 0, night.errors
        numbers.append(site.reader.run_id)
    file = site.installation.folder / "first.backup"
    backups.save(settings, file)
    return Scene(site, random.Random(seed), file, (numbers[0], numbers[1]))


def test_whatever_is_killed_the_next_command_puts_it_right(scene: Scene, everything: bool) -> None:
    kills = (10 if everything else 2) * list(COMMANDS)
    scene.chance.shuffle(kills)
    began, counts = time.monotonic(), Counter(command.__name__ for command in kills)
    try:
        for command in kills:
            scene.number += 1
            command(scene)
            scene.require_good()
    finally:
        print("\n".join(LOG))
    print(f"{len(kills)} commands killed and put right in {time.monotonic() - began:.0f} s: {dict(counts)}")


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
def first(
    prefect_api: str, open_folder: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[First]:
    folder = open_folder / f"first-start-{request.node.name.replace('[', '-').rstrip(']')}"
    folder.mkdir()
    environment = {
        "CREDITLENS_STATE": str(folder / "state"),
        "CREDITLENS_SYNTHETIC_FORMER": "600",
        "CREDITLENS_SYNTHETIC_NEW": "200",
        "CREDITLENS_TRIALS": "0",
        "CREDITLENS_THREADS": "1",
        "PREFECT_API_URL": prefect_api,
    }
    for name in ("CREDITLENS_DATABASE_URL", "CREDITLENS_DATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    made = First(folder, environment)
    yield made
    down = start("down", folder=folder / "down", environment=environment)
    assert down.wait() == 0, down.errors


@pytest.mark.parametrize("chain", [1, 2])
def test_a_first_start_that_is_killed_again_and_again_is_made_good_by_the_next_up(
    first: First, seed: int, everything: bool, chain: int
) -> None:
    chance = random.Random(seed + chain)
    log = []
    for _ in range(5 if everything else 1):
        delay, group = 0.3 * (40.0 ** chance.random()), chance.random() < 0.5
        command = first.up()
        started = time.monotonic()
        while command.running and time.monotonic() < started + delay:
            time.sleep(0.005)
        if command.running:
            (os.killpg if group else os.kill)(command.pid, signal.SIGKILL)
        code = command.wait()
        last = (command.errors.splitlines() or ["nothing"])[-1]
        log.append(f"after {delay:.2f} s: {code}; it had said: {last}")
        assert code in {0, -signal.SIGKILL}, command.errors
    print("\n".join(log))
    command = first.up()
    assert command.wait(240) == 0, (log, command.errors)
    assert "Traceback" not in command.errors
    settings = first.settings
    server = settings.embedded()
    assert server.port() is not None, server.log.read_text()
    with services.database(settings) as engine:
        assert schema.current(engine) == schema.head()
        model, run = registry.current_model(engine), runs.published(engine)
        assert model is not None and model.training_rows == 600
        assert run is not None and run.customers == 200
        assert "wal_level" in (server.data / "postgresql.auto.conf").read_text()
    problems = health.status_json(settings)["problems"]
    assert problems == []
    left = [path.name for path in settings.state.rglob("*partial*")]
    assert [name for name in left if not name.startswith(".application_")] == []
