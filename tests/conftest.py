"""One real Postgres for all tests: migrated once, copied for each module that writes."""

from __future__ import annotations

import itertools
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest
from sqlalchemy import Engine, text

from db import schema
from db.access import roles
from db.engine import make_engine
from db.server.embedded import OWNER, EmbeddedPostgres, new_password
from flows.operations.prepare import write_dictionary
from scoring.contract import Applications, check_rows
from scoring.sample import applications
from scoring.training import Trained, train
from tests.installation import files as files
from tests.installation import foreign_postgres as foreign_postgres
from tests.installation import installation as installation
from tests.prefect_fixture import prefect_api as prefect_api
from tests.receivers import mail as mail
from tests.receivers import webhook as webhook
from tests.superset_fixture import superset as superset

PROJECT = Path(__file__).resolve().parents[1]
REAL_DATA = Path(os.environ.get("CREDITLENS_REAL_DATA", PROJECT.parent / "shared" / "home_credit"))
_TEMPLATE = "migrated_template"
_numbers = itertools.count(1)


def pytest_collection_finish() -> None:
    """Refuses tests whose imports load Prefect, which keeps the settings of the moment it is loaded.

    `prefect_api` sets them. A test file that imports it earlier would have every flow of the session run on the
    defaults: other logs, other warnings, another server.
    """
    if "prefect" in sys.modules:
        raise pytest.UsageError("A test file imports Prefect; import what needs it in a test, after `prefect_api`.")


@pytest.fixture(scope="session")
def real_data() -> Path | None:
    """The folder of real applications where there is one."""
    return REAL_DATA if (REAL_DATA / "application_train.csv").exists() else None


@pytest.fixture(scope="module", autouse=True)
def temporary_folder_of_its_own() -> Iterator[None]:
    """A command that a test runs in this process keeps temporary files in its state folder: not those of others."""
    saved, folder = os.environ.get("TMPDIR"), tempfile.tempdir
    yield
    tempfile.tempdir = folder
    if saved is None:
        os.environ.pop("TMPDIR", None)
    else:
        os.environ["TMPDIR"] = saved


@pytest.fixture(scope="session")
def open_folder() -> Iterator[Path]:
    """A temporary folder that a database's system user may enter too."""
    folder = Path(tempfile.mkdtemp(prefix="creditlens-tests-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres(open_folder: Path) -> Iterator[EmbeddedPostgres]:
    """A running embedded Postgres of the test session's own."""
    server = EmbeddedPostgres(open_folder / "postgres", new_password(), new_password())
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def reader_passwords() -> dict[str, str]:
    """Passwords of the reading roles, which all databases of the test server share."""
    return {role: new_password() for role in (roles.ANALYST, roles.DASHBOARD, roles.DECIDER)}


@pytest.fixture(scope="session")
def new_database(postgres: EmbeddedPostgres, reader_passwords: dict[str, str]) -> Iterator[Callable[[], Engine]]:
    """Makes migrated databases, empty but for the dictionary, with readers' roles."""
    owner = make_engine(postgres.url(database="postgres")).execution_options(isolation_level="AUTOCOMMIT")
    with owner.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {_TEMPLATE} OWNER {OWNER}"))
    template = make_engine(postgres.url(database=_TEMPLATE))
    schema.upgrade(template)
    write_dictionary(template)
    assert roles.ensure_owner(template)
    assert roles.ensure_readers(template, reader_passwords)
    assert roles.ensure_decider(template, reader_passwords[roles.DECIDER])
    template.dispose()
    engines: list[Engine] = []

    def make() -> Engine:
        name = f"test_{next(_numbers)}"
        with owner.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE} OWNER {OWNER}"))
            # All share the roles: a database that claimed them (by a restore) must not send the next to others.
            connection.execute(text(f"COMMENT ON ROLE {OWNER} IS NULL"))
        # Whoever is done keeps connections, of which the server has an end; what is used again opens anew.
        for earlier in engines:
            earlier.dispose()
        engine = make_engine(postgres.url(database=name))
        roles.ensure_readers(engine, reader_passwords)
        roles.ensure_decider(engine, reader_passwords[roles.DECIDER])
        engines.append(engine)
        return engine

    yield make
    for engine in engines:
        engine.dispose()
    owner.dispose()


@pytest.fixture(scope="module")
def engine(new_database: Callable[[], Engine]) -> Engine:
    """A migrated database of the module's own, empty but for the dictionary."""
    return new_database()


@pytest.fixture(scope="session")
def former() -> Applications:
    """2,000 synthetic former customers."""
    frame = applications(2_000, seed=1, labelled=True)
    return check_rows(frame, first_row=1, labelled=True).accepted


@pytest.fixture(scope="session")
def new_frame() -> pl.DataFrame:
    """300 synthetic applications as a file would hold them."""
    return applications(300, seed=2, first_id=500_001)


@pytest.fixture(scope="session")
def new(new_frame: pl.DataFrame) -> Applications:
    """The same, through the contract."""
    return check_rows(new_frame, first_row=1, labelled=False).accepted


@pytest.fixture(scope="session")
def trained(former: Applications) -> Trained:
    """A model of the synthetic former customers, with default parameters."""
    return train(former, trials=0, threads=2)
