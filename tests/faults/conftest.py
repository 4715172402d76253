"""Fault tests: how much of them is run, their seed, and installations that nights in other processes share."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import psycopg
import pytest
from psycopg import sql
from sqlalchemy import Engine

from db.access import roles
from db.engine import make_engine, psql_url
from db.server.embedded import OWNER, EmbeddedPostgres
from scoring.sample import applications
from tests.faults.nights import Night, start
from tests.faults.reader import Reader
from tests.installation import Installation

# `make faults` runs all of it, `make test` a part of the same tests.
EVERYTHING = os.environ.get("CREDITLENS_FAULTS") == "all"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out tests that are marked `whole`: they take minutes and break rarely. Pytest counts them."""
    left_out = [] if EVERYTHING else [item for item in items if item.get_closest_marker("whole")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def need(there: object, what: str) -> None:
    """Skip a test that this machine cannot run; it fails where all of them are to run, lest it look green."""
    if there:
        return
    if EVERYTHING or os.environ.get("CI"):
        pytest.fail(f"{what} No test may be left out where CI or CREDITLENS_FAULTS=all is set.")
    pytest.skip(what)


@pytest.fixture(scope="session")
def everything() -> bool:
    """Whether the whole of the fault tests is wanted, or a representative part."""
    return EVERYTHING


@pytest.fixture(scope="session")
def seed() -> int:
    """The seed of everything random; printed, and set with CREDITLENS_FAULT_SEED to see the same again.

    `make faults` looks for what nobody has seen; `make test` says whether what was seen still holds.
    """
    new = random.SystemRandom().randrange(2**31) if EVERYTHING else 20_261_125
    chosen = int(os.environ.get("CREDITLENS_FAULT_SEED") or new)
    print(f"\nCREDITLENS_FAULT_SEED={chosen}")
    return chosen


@dataclass
class Site:
    """An installation with a model and two files of applications, in which nights are run by other processes."""

    installation: Installation
    files: tuple[Path, Path]
    reader: Reader
    nights: int = 0

    def start(self, *arguments: str, limits: dict[str, int] | None = None, **environment: str) -> Night:
        """Start a `creditlens` command in a process of its own."""
        self.nights += 1
        inherited = {
            name: value for name, value in os.environ.items() if name.startswith(("CREDITLENS_", "PREFECT_"))
        }
        return start(
            *arguments,
            folder=self.installation.folder / f"night-{self.nights}",
            environment={**inherited, **environment},
            limits=limits,
        )

    def night(self, file: Path, *arguments: str, **environment: str) -> Night:
        """Start a night with one file."""
        return self.start("nightly", "--applications", str(file), "--json", *arguments, **environment)


def write_files(folder: Path, customers: int) -> tuple[Path, Path]:
    """Two files of different applications and lengths: a plain one and a gzipped one."""
    import gzip

    one, other = folder / "one.csv", folder / "other.csv.gz"
    applications(customers, seed=11, first_id=600_001).write_csv(one)
    frame: pl.DataFrame = applications(customers - 100, seed=12, first_id=600_051)
    other.write_bytes(gzip.compress(frame.write_csv().encode(), 1))
    return one, other


@pytest.fixture(scope="session")
def give_model(
    postgres: EmbeddedPostgres, reader_passwords: dict[str, str]
) -> Callable[[Installation, tuple[Path, Path]], None]:
    """Gives an installation a model of its files, which are the same everywhere: one is trained, then copied."""
    trained: list[str] = []

    def copy(source: str | None, target: str | None) -> None:
        assert source is not None and target is not None
        with psycopg.connect(psql_url(postgres.url(database="postgres")), autocommit=True) as owner:
            names = {
                "source": sql.Identifier(source),
                "target": sql.Identifier(target),
                "owner": sql.Identifier(OWNER),
            }
            owner.execute(sql.SQL("DROP DATABASE IF EXISTS {target}").format(**names))
            owner.execute(sql.SQL("CREATE DATABASE {target} TEMPLATE {source} OWNER {owner}").format(**names))

    def give(installation: Installation, files: tuple[Path, Path]) -> None:
        from flows.training import training

        engine = installation.engine
        if not trained:
            training([files[0]])
            engine.dispose()
            copy(engine.url.database, "with_a_model")
            trained.append("with_a_model")
        else:
            engine.dispose()
            copy(trained[0], engine.url.database)
            # What is granted on a database itself is not copied with it.
            roles.ensure_readers(engine, reader_passwords)

    return give


@pytest.fixture(scope="module")
def site(
    installation: Installation,
    files: tuple[Path, Path],
    give_model: Callable[[Installation, tuple[Path, Path]], None],
    make_reader: Callable[[Engine], Reader],
) -> Site:
    """A site in the test session's Postgres: for faults that leave the server itself alone."""
    give_model(installation, files)
    return Site(installation, write_files(installation.folder, 2_000), make_reader(installation.engine))


@pytest.fixture(scope="module")
def make_reader(reader_passwords: dict[str, str]) -> Iterator[Callable[[Engine], Reader]]:
    """Makes what an analyst sees of a database."""
    engines: list[Engine] = []

    def make(owner: Engine) -> Reader:
        role = roles.ANALYST
        engines.append(make_engine(owner.url.set(username=role, password=reader_passwords[role])))
        return Reader(engines[-1])

    yield make
    for engine in engines:
        engine.dispose()
