"""Somebody else's Postgres, as people have it: shared with other programs and installations, with own settings.

Real commands in real processes, on real servers.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import text
from typer.testing import CliRunner

from db import schema
from db.access import names, portfolios
from db.engine import make_engine, open_session, parse_url, psql_url
from db.errors import AddressError
from db.runs import ledger as run_ledger
from db.server import clients
from db.server.embedded import free_port, new_password
from flows.cli.main import app
from flows.operations import backups
from flows.services import database as database_service
from flows.settings import Settings
from scoring.sample import applications
from tests import portfolio
from tests.db import ledger
from tests.flows.cli.test_main import Machine
from tests.installation import ForeignServer, foreign_server, service_user


@pytest.fixture(scope="module")
def server(open_folder: Path) -> Iterator[ForeignServer]:
    with foreign_server(open_folder) as made:
        yield made


class Installation(Machine):
    """Commands that need no process of their own run in this one, which spares each the imports."""

    def __call__(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        if arguments[0] in {"sql", "train", "nightly", "up", "erase"} or environment:
            # Nights are told to the session's server, which spares each a server of its own.
            prefect = {name: os.environ[name] for name in ("PREFECT_API_URL",) if name in os.environ}
            return super().__call__(*arguments, **prefect, **environment)
        with pytest.MonkeyPatch.context() as patch:
            for name in [name for name in os.environ if name.startswith(("CREDITLENS_", "DATABASE_URL"))]:
                patch.delenv(name)
            for name, value in {"CREDITLENS_STATE": str(self.state), **self.environment}.items():
                patch.setenv(name, value)
            done = CliRunner().invoke(app, arguments)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, done.stderr)


def installation(server: ForeignServer, folder: Path, database: str, url: str | None = None) -> Machine:
    """An installation of its own on a database of the server, which is made if it is not there."""
    if server.value(f"SELECT 1 FROM pg_database WHERE datname = '{database}'", "postgres") is None:
        server.run(f'CREATE DATABASE "{database}"')
    return Installation(
        folder / f"state-{database}",
        {"CREDITLENS_DATABASE_URL": url or server.url(database)},
    )


def settings_of(machine: Machine, patch: pytest.MonkeyPatch) -> Settings:
    patch.setenv("CREDITLENS_STATE", str(machine.state))
    patch.setenv("CREDITLENS_DATABASE_URL", machine.environment["CREDITLENS_DATABASE_URL"])
    return Settings()


def succeeds(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout


def refused(done: subprocess.CompletedProcess[str], *, code: int = 2) -> str:
    """The one sentence with which a command ended."""
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("creditlens: ")]
    return line


def reads(machine: Machine, query: str = "SELECT session_user") -> str:
    """What `creditlens sql` answers."""
    return succeeds(machine("sql", "-At", "-c", query)).strip()


def two_nights(machine: Machine, patch: pytest.MonkeyPatch) -> None:
    """Scores of three customers, without the work of a model."""
    # As the writer, as a night does: what it makes is the writer's.
    with database_service.database(settings_of(machine, patch), writer=True) as engine:
        model = ledger.new_model(engine)
        for day in (0, 1):
            ledger.night(engine, model, day=ledger.DAY + timedelta(days=day), sha256=str(day) * 64)


# --- another program's revision -----------------------------------------------------------------------------------

THEIRS = ("CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)",
          "INSERT INTO alembic_version VALUES ('9f3a1c77d2e0')")  # fmt: skip


def test_the_revision_of_another_program_stands_beside_ours(
    server: ForeignServer, production: Machine, tmp_path: Path
) -> None:
    machine = installation(server, tmp_path, "mlflow")
    server.run(*THEIRS, database="mlflow")
    assert machine.json("migrate")["revision"] == schema.head()
    assert machine.json("migrate")["revision"] == schema.head()
    rows = server.value("SELECT string_agg(version_num, ',') FROM alembic_version", "mlflow")
    assert rows == "9f3a1c77d2e0"


@pytest.mark.parametrize("shared", [False, True])
def test_an_installation_of_0_3_takes_its_own_revision_along_and_nobody_elses(
    server: ForeignServer, production: Machine, tmp_path: Path, shared: bool
) -> None:
    database = f"of_0_3_{shared}"
    machine = installation(server, tmp_path, database)
    engine = make_engine(server.url(database))
    schema.upgrade(engine, "0007")
    engine.dispose()
    # As 0.3 left it.
    server.run("DROP SCHEMA creditlens_private CASCADE", THEIRS[0], database=database)
    server.run("INSERT INTO alembic_version VALUES ('0007')", database=database)
    if shared:
        server.run(THEIRS[1], database=database)
    assert "revision 0007" in machine.json("status", code=1)["message"]
    assert machine.json("migrate")["revision"] == schema.head()
    if shared:
        assert server.value("SELECT string_agg(version_num, ',') FROM alembic_version", database) == "9f3a1c77d2e0"
    else:
        assert server.value("SELECT to_regclass('public.alembic_version')", database) is None


def test_tables_that_somebody_dropped_are_made_again(
    server: ForeignServer, production: Machine, tmp_path: Path
) -> None:
    machine = installation(server, tmp_path, "dropped")
    machine.json("migrate")
    server.run("DROP SCHEMA credit CASCADE", "DROP SCHEMA reporting CASCADE", database="dropped")
    machine.json("migrate")
    assert int(reads(machine, "SELECT count(*) FROM feature")) > 100


# --- several installations on one server --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def production(server: ForeignServer, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    made = installation(server, tmp_path_factory.mktemp("production"), "scores")
    made.json("migrate")
    return made


@pytest.fixture(scope="module")
def nights(production: Machine, patch: pytest.MonkeyPatch) -> Machine:
    """The first installation, with scores of three customers."""
    two_nights(production, patch)
    return production


@pytest.fixture(scope="module")
def test(server: ForeignServer, production: Machine, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """A second installation, in a database of its own with a name that needs quotes in SQL."""
    made = installation(server, tmp_path_factory.mktemp("test"), "Scores-test")
    made.json("migrate")
    return made


def test_two_installations_on_one_server_have_roles_of_their_own(production: Machine, test: Machine) -> None:
    for _ in range(2):
        assert reads(production) == "creditlens_analyst"
        assert reads(test) == "creditlens_scores_test_analyst"
        for machine in (test, production):
            machine.json("migrate")


def test_the_readers_of_one_installation_are_not_let_into_the_other(
    server: ForeignServer, production: Machine, test: Machine, patch: pytest.MonkeyPatch
) -> None:
    for own, other in ((production, "Scores-test"), (test, "scores")):
        url = parse_url(database_service.reader_url(settings_of(own, patch))).set(database=other)
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            psycopg.connect(psql_url(url))


@pytest.fixture(scope="module")
def files(prefect_api: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is trained on and scored, by flows that the session's Prefect server is told of."""
    assert prefect_api
    folder = tmp_path_factory.mktemp("files")
    applications(1_500, seed=1, labelled=True).write_csv(folder / "application_train.csv")
    applications(200, seed=2, first_id=500_001).write_csv(folder / "application_test.csv")
    return folder


def test_the_second_installation_trains_scores_saves_restores_and_erases(
    server: ForeignServer, test: Machine, files: Path, tmp_path: Path
) -> None:
    """The whole life on an older Postgres, by names that are not the usual ones."""
    test.json("train", "-f", str(files / "application_train.csv"))
    night = test.json("nightly", "-a", str(files / "application_test.csv"))
    assert (night["outcome"], night["customers"]) == ("published", 200)
    owners = server.value(
        "SELECT string_agg(DISTINCT pg_get_userbyid(relowner), ',') FROM pg_class WHERE relname ~ '_r[0-9]{8}$'",
        "Scores-test",
    )
    assert owners == "creditlens_scores_test_writer"
    file = tmp_path / "test.backup"
    test.json("backup", str(file))
    restored = test.json("restore", str(file), "--force")
    assert restored["roles"] >= 6
    assert restored["grants"] > 50
    assert restored["warnings"] == []
    assert reads(test, "SELECT count(*) FROM customer") == "200"
    test.json("erase", "500001", "--yes")
    assert reads(test, "SELECT count(*) FROM customer") == "199"
    # Of former customers who apply again: what nights tell of similar ones is emptied, samples and all.
    applications(200, seed=3, first_id=100_001).write_csv(tmp_path / "returning.csv")
    assert test.json("nightly", "-a", str(tmp_path / "returning.csv"))["customers"] == 200
    test.json("erase", "100001", "--yes")
    shutil.copy(files / "application_test.csv", tmp_path / "again.csv")
    assert test.json("nightly", "-a", str(tmp_path / "again.csv"), "--force")["customers"] == 200


def test_advisors_are_held_to_their_customers_by_the_name_that_the_role_has_here(
    server: ForeignServer, test: Machine, tmp_path: Path, patch: pytest.MonkeyPatch
) -> None:
    machine = installation(server, tmp_path, "limited")
    machine.json("migrate")
    two_nights(machine, patch)
    settings = settings_of(machine, patch)
    with database_service.database(settings) as engine:
        portfolio.assign(engine, "alice", customers=[7], by="test")
        portfolios.switch(engine, limited=True, by="test")
    with open_session(database_service.reader_url(settings, names.USUAL.dashboard), job=False) as reader:
        assert reader.info.user == "creditlens_limited_dashboard"
        query = "SELECT array_agg(customer_id ORDER BY 1) FROM reporting.customer"
        assert reader.execute(query).fetchone() == (None,)
        signed = portfolio.sign(settings.secrets()["viewer"], "alice", reader.info.backend_pid)
        reader.execute("SELECT set_config(%s, %s, false)", [portfolios.SETTING, signed])
        assert reader.execute(query).fetchone() == ([7],)
    assert reads(machine, "SELECT count(*) FROM customer") == "3"
    # The limits come back with a backup, and hold.
    file = tmp_path / "limited.backup"
    machine.json("backup", str(file))
    machine.json("restore", str(file), "--force")
    with open_session(database_service.reader_url(settings, names.USUAL.dashboard), job=False) as reader:
        assert reader.execute(query).fetchone() == (None,)


def test_a_backup_of_one_installation_is_restored_into_the_other_by_its_own_roles(
    server: ForeignServer, nights: Machine, tmp_path: Path
) -> None:
    server.run("CREATE ROLE bi", "GRANT USAGE ON SCHEMA reporting TO bi", database="scores")
    server.run("GRANT SELECT ON reporting.customer TO bi", database="scores")
    file = tmp_path / "production.backup"
    nights.json("backup", str(file))
    other = installation(server, tmp_path, "copy")
    restored = other.json("restore", str(file))
    assert restored["warnings"] == []
    assert reads(other, "SELECT session_user, count(*) FROM customer") == "creditlens_copy_analyst|3"
    # Whom we do not know keeps what was granted, and nothing is left to the roles of the first.
    assert server.value("SELECT has_table_privilege('bi', 'reporting.customer', 'SELECT')", "copy") is True
    query = "SELECT has_database_privilege('creditlens_analyst', 'copy', 'CONNECT')"
    assert server.value(query) is False
    assert server.value(
        "SELECT has_table_privilege('creditlens_reader', 'reporting.customer', 'SELECT')", "copy"
    ) is (False)
    assert reads(nights) == "creditlens_analyst"


def test_a_copy_of_a_database_gets_roles_of_its_own_when_it_is_taken_over(
    server: ForeignServer, production: Machine, tmp_path: Path, patch: pytest.MonkeyPatch
) -> None:
    """So do two databases of version 0.3, which shared the roles: the first that is migrated keeps them."""
    server.run("CREATE DATABASE staging TEMPLATE scores")
    staging = installation(server, tmp_path, "staging")
    assert "--take-over" in refused(staging("migrate"))
    succeeds(staging("migrate", "--take-over"))
    assert reads(staging) == "creditlens_staging_analyst"
    assert reads(production) == "creditlens_analyst"
    url = parse_url(database_service.reader_url(settings_of(production, patch))).set(database="staging")
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(psql_url(url))
    left = server.value(
        "SELECT count(*) FROM pg_shdepend d JOIN pg_roles r ON r.oid = d.refobjid AND d.refclassid = 1260"
        " JOIN pg_database b ON b.oid = d.dbid AND b.datname = 'staging'"
        " WHERE r.rolname IN ('creditlens_owner', 'creditlens_reader', 'creditlens_writer', 'creditlens_reporting')"
    )
    assert left == 0


MEMBERSHIPS = (
    "SELECT string_agg(roleid::regrole::text, ',' ORDER BY 1) FROM pg_auth_members"
    " WHERE member = '{user}'::regrole AND roleid::regrole::text ~ '^{prefix}_(owner|writer|reader|reporting)$'"
)


def test_who_shared_the_roles_of_0_3_is_no_member_of_the_other_databases_owner_any_more(
    server: ForeignServer, production: Machine, tmp_path: Path
) -> None:
    server.run("CREATE DATABASE second TEMPLATE scores")
    server.run(
        f"CREATE ROLE second LOGIN CREATEROLE PASSWORD '{server.password}'",
        "ALTER DATABASE second OWNER TO second",
        # As 0.3 did for each that migrated a database of the server.
        "GRANT creditlens_owner, creditlens_writer, creditlens_reader, creditlens_reporting TO second",
    )
    machine = installation(server, tmp_path, "second", server.url("second", "second"))
    succeeds(machine("migrate", "--take-over"))
    assert server.value(MEMBERSHIPS.format(user="second", prefix="creditlens")) is None
    assert "creditlens_second_owner" in str(
        server.value(MEMBERSHIPS.format(user="second", prefix="creditlens_second"))
    )
    refusal = pytest.raises(psycopg.errors.InsufficientPrivilege)
    with psycopg.connect(server.url("second", "second")) as second, refusal:
        second.execute("SET ROLE creditlens_owner")
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(server.url("scores", "second"))
    succeeds(machine("migrate"))
    assert reads(machine) == "creditlens_second_analyst"
    assert reads(production) == "creditlens_analyst"


def test_one_user_of_two_databases_stays_a_member_of_the_roles_of_both(
    server: ForeignServer, production: Machine, tmp_path: Path
) -> None:
    server.run(
        f"CREATE ROLE twice LOGIN CREATEROLE PASSWORD '{server.password}'", "CREATE DATABASE twice_a OWNER twice"
    )
    first = installation(server, tmp_path, "twice_a", server.url("twice_a", "twice"))
    succeeds(first("migrate"))
    before = server.value(MEMBERSHIPS.format(user="twice", prefix="creditlens_twice_a"))
    assert "creditlens_twice_a_owner" in str(before)
    server.run("CREATE DATABASE twice_b TEMPLATE twice_a OWNER twice")
    second = installation(server, tmp_path, "twice_b", server.url("twice_b", "twice"))
    succeeds(second("migrate", "--take-over"))
    assert server.value(MEMBERSHIPS.format(user="twice", prefix="creditlens_twice_a")) == before
    succeeds(first("migrate"))
    assert (reads(first), reads(second)) == ("creditlens_twice_a_analyst", "creditlens_twice_b_analyst")


def test_a_second_state_folder_on_one_database_is_refused_until_it_has_the_secrets(
    server: ForeignServer, production: Machine, tmp_path: Path
) -> None:
    second = installation(server, tmp_path, "scores")
    for command in (("migrate",), ("up", "--no-dashboards")):
        sentence = refused(second(*command))
        assert "secrets.json" in sentence
        assert str(second.state) in sentence
    assert reads(production) == "creditlens_analyst"
    answer = json.loads(second("migrate", "--json").stdout)
    assert answer["outcome"] == "refused"
    shutil.copy(production.state / "secrets.json", second.state / "secrets.json")
    second.json("migrate")
    assert reads(second) == reads(production) == "creditlens_analyst"


def test_names_fit_into_what_postgres_takes_and_differ(server: ForeignServer, test: Machine) -> None:
    long = ["d" * 62 + end for end in "ab"]
    found = []
    for database in long:
        server.run(f"CREATE DATABASE {database}")
        with psycopg.connect(server.url(database)) as connection:
            found.append(names.choose(connection))
    assert len({role for one in found for role in one.all()}) == 2 * len(names.USUAL.all())
    assert max(len(role) for one in found for role in one.all()) <= 63


# --- who may not make roles ---------------------------------------------------------------------------------------


def test_who_may_not_make_roles_restores_everything_else_and_is_told(
    server: ForeignServer, nights: Machine, tmp_path: Path, files: Path
) -> None:
    file = tmp_path / "production.backup"
    nights.json("backup", str(file))
    password = new_password()
    server.run(f"CREATE ROLE plain LOGIN PASSWORD '{password}'", "CREATE DATABASE plain OWNER plain")
    plain = installation(server, tmp_path, "plain", server.url("plain", "plain", password))
    restored = plain.json("restore", str(file))
    (warning,) = restored["warnings"]
    assert "may not make roles" in warning
    assert (restored["roles"], restored["grants"]) == (0, 0)
    with psycopg.connect(server.url("plain", "plain", password)) as owner:
        assert owner.execute("SELECT count(*) FROM reporting.customer").fetchone() == (3,)
    plain.json("migrate")
    plain.json("train", "-f", str(files / "application_train.csv"))
    assert plain.json("nightly", "-a", str(files / "application_test.csv"))["outcome"] == "published"
    again = tmp_path / "plain.backup"
    plain.json("backup", str(again))
    assert plain.json("restore", str(again), "--force")["rows"] > 1_000
    plain.json("erase", "500001", "--yes")


# --- settings of server, database, role and environment ---------------------------------------------------------

ODD_SETTINGS = {
    "DateStyle": "'SQL, DMY'",
    "TimeZone": "'America/New_York'",
    "search_path": "nowhere",
    "IntervalStyle": "sql_standard",
    "extra_float_digits": "'-5'",
    "bytea_output": "escape",
    "default_transaction_read_only": "on",
    "default_transaction_isolation": "serializable",
    "standard_conforming_strings": "off",
    "quote_all_identifiers": "on",
    "idle_in_transaction_session_timeout": "'1s'",
    "lock_timeout": "'1ms'",
}


def test_settings_of_a_database_do_not_matter(
    server: ForeignServer, tmp_path: Path, files: Path, patch: pytest.MonkeyPatch
) -> None:
    machine = installation(server, tmp_path, "odd")
    server.run(*(f"ALTER DATABASE odd SET {name} = {value}" for name, value in ODD_SETTINGS.items()))
    machine.json("migrate")
    two_nights(machine, patch)
    machine.json("train", "-f", str(files / "application_train.csv"))
    assert machine.json("nightly", "-a", str(files / "application_test.csv"))["outcome"] == "published"
    file = tmp_path / "odd.backup"
    machine.json("backup", str(file))
    assert machine.json("restore", str(file), "--force")["warnings"] == []
    # What a reader is shown: a moment in UTC and in ISO's order, and all digits of a number.
    query = "SELECT current_setting('TimeZone'), timestamptz '2026-11-02 01:00+00', 0.1::float8 + 0.2::float8"
    assert reads(machine, query) == "UTC|2026-11-02 01:00:00+00|0.30000000000000004"
    assert machine.json("export", "500001", str(tmp_path / "export"))["scores"] == 1
    assert machine.json("status")["published_at"].endswith("+00:00")


@pytest.mark.parametrize("level", ["ROLE bank", "ROLE bank IN DATABASE odd_here"])
def test_settings_of_the_role_that_works_do_not_matter(server: ForeignServer, tmp_path: Path, level: str) -> None:
    machine = installation(server, tmp_path, "odd_here" if "IN" in level else "odd_everywhere")
    try:
        server.run(*(f"ALTER {level} SET {name} = {value}" for name, value in ODD_SETTINGS.items()))
        machine.json("migrate")
    finally:
        with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
            connection.execute("SET default_transaction_read_only = off")
            connection.execute(f"ALTER {level} RESET ALL".encode())


# Everything that people export for their company's database.
THEIR_VARIABLES = {
    "PGHOST": "db.invalid",
    "PGHOSTADDR": "127.0.0.77",
    "PGPORT": "1",
    "PGDATABASE": "warehouse",
    "PGUSER": "somebody",
    "PGPASSWORD": "not-this-one",
    "PGPASSFILE": "/nowhere/pgpass",
    "PGSERVICE": "prod",
    "PGSSLMODE": "verify-full",
    "PGSSLROOTCERT": "/nowhere/root.crt",
    "PGOPTIONS": "-c search_path=app -c default_transaction_read_only=on",
    "PGTZ": "America/New_York",
    "PGDATESTYLE": "SQL, DMY",
    "PGCLIENTENCODING": "LATIN1",
    "PGTARGETSESSIONATTRS": "read-only",
    "PGREQUIREAUTH": "none",
    "PGCHANNELBINDING": "require",
    "PGGSSENCMODE": "require",
}


def test_the_embedded_server_is_spoken_to_by_its_own_address_only(open_folder: Path, files: Path) -> None:
    machine = Installation(open_folder / "variables", dict(THEIR_VARIABLES))
    try:
        machine.json("migrate")
        machine.json("train", "-f", str(files / "application_train.csv"))
        night = machine("nightly", "-a", str(files / "application_test.csv"), "--json", CREDITLENS_DASK="local:1")
        assert json.loads(succeeds(night))["outcome"] == "published"
        assert reads(machine, "SELECT count(*), current_setting('TimeZone') FROM customer") == "200|UTC"
        file = machine.state / "saved"
        machine.json("backup", str(file))
        machine.json("restore", str(file), "--force")
        machine.json("erase", "500001", "--yes")
    finally:
        machine("down")


def test_variables_neither_lead_away_from_a_named_server_nor_change_its_sessions(
    server: ForeignServer, production: Machine, tmp_path: Path
) -> None:
    kept = ("PGHOST", "PGPORT", "PGDATABASE", "PGUSER", "PGPASSWORD", "PGPASSFILE", "PGHOSTADDR", "PGSERVICE",
            "PGOPTIONS", "PGTZ", "PGDATESTYLE", "PGCLIENTENCODING", "PGTARGETSESSIONATTRS")  # fmt: skip
    variables = {name: THEIR_VARIABLES[name] for name in kept}
    succeeds(production("migrate", "--json", **variables))
    shown = succeeds(
        production("sql", "-At", "-c", "SELECT current_database(), current_setting('TimeZone')", **variables)
    )
    assert shown.strip() == "scores|UTC"
    succeeds(production("backup", str(tmp_path / "saved"), "--json", **variables))


# --- TLS ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tls(open_folder: Path) -> Iterator[ForeignServer]:
    """A server that lets nobody in without TLS, by a certificate that signs itself."""
    with foreign_server(open_folder, tls=True) as made:
        yield made


@pytest.mark.parametrize("mode", ["", "?sslmode=require", "?sslmode=verify-full&sslrootcert={}"])
def test_a_server_that_asks_for_tls_is_migrated_read_saved_and_restored(
    tls: ForeignServer, tmp_path: Path, mode: str, patch: pytest.MonkeyPatch
) -> None:
    database = f"tls_{len(mode)}"
    url = tls.url(database, more=mode.format(tls.folder / "server.crt"))
    machine = installation(tls, tmp_path, database, url)
    machine.json("migrate")
    two_nights(machine, patch)
    query = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
    assert reads(machine, "SELECT count(*) FROM customer") == "3"
    assert tls.value(query, database) is True
    machine.json("backup", str(tmp_path / "saved"))
    assert machine.json("restore", str(tmp_path / "saved"), "--force")["warnings"] == []


def test_a_certificate_that_nobody_vouches_for_is_refused_in_a_sentence(tls: ForeignServer, tmp_path: Path) -> None:
    tmp_path.joinpath("other.crt").write_bytes((tls.folder / "server.crt").read_bytes()[:-60])
    more = f"?sslmode=verify-full&sslrootcert={tmp_path / 'other.crt'}"
    machine = installation(tls, tmp_path, "scores", tls.url(more=more))
    assert "certificate" in refused(machine("migrate"), code=1)


def test_without_programs_that_know_tls_it_is_said_what_to_install_before_anything_starts(
    tls: ForeignServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = installation(tls, tmp_path, "bare", tls.url("bare", more="?sslmode=require"))
    machine.json("migrate")
    # A machine on which the system has none.
    monkeypatch.setattr(clients, "_places", lambda _: iter(()))
    with pytest.raises(clients.ProgramMissingError, match=r"TLS.* postgresql-client"):
        backups.save(settings_of(machine, monkeypatch), tmp_path / "saved")
    assert not (tmp_path / "saved").exists()


# --- poolers ------------------------------------------------------------------------------------------------------


@contextmanager
def pgbouncer(server: ForeignServer, mode: str) -> Iterator[int]:
    """A pgbouncer before the server; its port."""
    program = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"
    if not Path(program).exists():
        pytest.skip("pgbouncer is not installed; .ci/run installs it")
    port = free_port(None)
    configuration, users = server.folder / f"pgbouncer-{mode}.ini", server.folder / "users.txt"
    users.write_text(f'"bank" "{server.password}"\n')
    configuration.write_text(
        f"[databases]\n* = host=127.0.0.1 port={server.port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
        f"listen_port = {port}\nunix_socket_dir =\nauth_type = plain\nauth_file = {users}\n"
        f"pool_mode = {mode}\ndefault_pool_size = 5\nlogfile = {server.folder}/pgbouncer-{mode}.log\n"
        "admin_users = bank\n"
    )
    user = service_user()
    process = subprocess.Popen([program, str(configuration)], **user)
    try:
        for _ in range(100):
            try:
                psycopg.connect(server.url(), port=port).close()
                break
            except psycopg.OperationalError:
                assert process.poll() is None
                time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait()


@pytest.mark.parametrize("mode", ["transaction", "statement"])
def test_a_pooler_that_keeps_no_session_is_refused_and_nothing_is_left_in_its_sessions(
    server: ForeignServer, production: Machine, tmp_path: Path, mode: str
) -> None:
    file = tmp_path / "saved"
    production.json("backup", str(file))
    with pgbouncer(server, mode) as port:
        url = server.url().replace(f":{server.port}/", f":{port}/")
        pooled = Installation(production.state, {**production.environment, "CREDITLENS_DATABASE_URL": url})
        for command in (("migrate",), ("sql", "-c", "SELECT 1"), ("restore", str(file), "--force")):
            sentence = refused(pooled(*command))
            assert "pool_mode=session" in sentence
        with psycopg.connect(url, autocommit=True, prepare_threshold=None) as somebody:
            for name, value in (("search_path", '"$user", public'), ("statement_timeout", "0")):
                assert somebody.execute(f"SHOW {name}".encode()).fetchone() == (value,)
            assert somebody.execute("SHOW default_transaction_isolation").fetchone() == ("read committed",)


def test_a_pooler_that_keeps_sessions_is_as_good_as_none(
    server: ForeignServer, production: Machine, tmp_path: Path
) -> None:
    with pgbouncer(server, "session") as port:
        url = server.url().replace(f":{server.port}/", f":{port}/")
        engine = make_engine(url, job=True)
        with run_ledger.exclusive(engine), engine.connect() as connection:
            assert connection.scalar(text("SHOW search_path")) == "public"
        engine.dispose()
        pooled = Installation(production.state, {**production.environment, "CREDITLENS_DATABASE_URL": url})
        pooled.json("migrate")
        pooled.json("backup", str(tmp_path / "saved"))


# --- addresses ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "form",
    [
        "postgresql://bank:{password}@127.0.0.1:{port}/scores",
        "postgresql+psycopg2://bank:{password}@127.0.0.1:{port}/scores?sslmode=prefer",
        "postgresql://odd%20one:p%40%2F%3A%23%25@127.0.0.1:{port}/scores",
        "postgresql://odd%20one@127.0.0.1:{port}/scores?password=p%40%2F%3A%23%25&application_name=x",
    ],
)
def test_an_address_in_any_usual_form_is_read(server: ForeignServer, form: str) -> None:
    if server.value("SELECT 1 FROM pg_roles WHERE rolname = 'odd one'") is None:
        server.run("""CREATE ROLE "odd one" SUPERUSER LOGIN PASSWORD 'p@/:#%'""")
    url = parse_url(form.format(password=server.password, port=server.port))
    engine = make_engine(url)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT current_database()")) == "scores"
    engine.dispose()
    with open_session(url) as connection:
        assert connection.info.dbname == "scores"
    assert clients.psql(url).name == "psql"
    assert parse_url(psql_url(url)) == url


def test_odd_names_are_told_to_programs_as_they_are() -> None:
    url = parse_url("postgresql://h/x").set(
        username="a b@c", password="p?/#% é", database="d e?f", host="::1", port=5
    )
    assert parse_url(psql_url(url)) == url
    assert conninfo_to_dict(psql_url(url)) == {
        "host": "::1", "port": "5", "user": "a b@c", "password": "p?/#% é", "dbname": "d e?f"
    }  # fmt: skip


@pytest.mark.parametrize("form", ["postgresql:///one?host={}&port={}&user=bank", "postgresql://bank@{}:{}/two"])
def test_a_socket_in_a_folder_is_reached(
    server: ForeignServer, production: Machine, tmp_path: Path, form: str
) -> None:
    quoted = str(server.folder) if "host=" in form else str(server.folder).replace("/", "%2F")
    database = form.partition("///" if "///" in form else "}/")[2].partition("?")[0]
    machine = installation(server, tmp_path, database, form.format(quoted, server.port))
    machine.environment["PGPASSWORD"] = server.password
    machine.json("migrate")
    assert reads(machine) == f"creditlens_{database}_analyst"
    machine.json("backup", str(tmp_path / "saved"))


BROKEN = {
    "host=h dbname=x": "should look like",
    "postgresql://u:secret@h:port/db": "should look like",
    "postgresql://u:secret@h": "names no database",
    "postgresql://u:sec@ret@h/db": "%40",
    "postgresql://u:secret@h/db?schema=public": '"schema"',
    "postgresql+asyncpg://u:secret@h/db?ssl=require": '"ssl"',
    "postgresql://u:secret@h/db?sslmode=require&sslmode=disable": "sslmode more than once",
    "mysql://u:secret@h/db": "'mysql'",
}


@pytest.mark.parametrize("address", BROKEN)
def test_an_address_that_is_none_is_refused_without_repeating_its_password(address: str) -> None:
    with pytest.raises(AddressError) as caught:
        parse_url(address)
    assert BROKEN[address] in str(caught.value)
    assert "sec" not in str(caught.value)


def test_the_command_says_so_in_a_sentence(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "state", {"CREDITLENS_DATABASE_URL": "postgresql://u:secret@h/db?schema=public"})
    assert '"schema"' in refused(machine("migrate"))
    assert json.loads(machine("backup", str(tmp_path / "x"), "--json").stdout)["outcome"] == "refused"
