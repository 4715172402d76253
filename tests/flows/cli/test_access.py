"""Who may do what with every table, view and function: a written matrix, walked on a server of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import psycopg
import pytest

from db.access import public_functions, roles
from db.access.portfolios import VIEWS
from db.engine import psql_url
from db.server.embedded import MIGRATOR, OWNER, SUPERUSER, WRITER
from db.superset.access_log import READER as COMPLIANCE
from flows.operations import backups
from flows.operations.prepare import prepare_database
from flows.services import database, superset
from flows.settings import Settings
from scoring.sample import applications

# What each role may do, by the first pattern that fits an object; everything else is refused.
READS = {"reporting relation": "SELECT", "reporting function": "EXECUTE"}
EVERYTHING = "SELECT INSERT UPDATE DELETE TRUNCATE REFERENCES TRIGGER"
OWNS = {
    r"(credit|public|creditlens_private) relation ": EVERYTHING,
    r"credit sequence ": "USAGE SELECT UPDATE",
    r"credit function ": "EXECUTE",
}
POLICY_FUNCTIONS = r"credit function (sees_everybody|viewer_customers|viewer_regions|region_of|acts_recorded)$"
MATRIX: dict[str, dict[str, str]] = {
    # Nobody can log in as these two ...
    OWNER: OWNS,
    VIEWS: {
        r"reporting relation ": EVERYTHING,
        r"reporting function ": "EXECUTE",
        POLICY_FUNCTIONS: "EXECUTE",
        r"credit relation (pointer_move|privacy_request|.*_[rm]\d{8})$": "",
        r"credit relation ": "SELECT",
    },
    # ... and this one is a member of every role of ours.
    MIGRATOR: OWNS | {r"reporting relation ": EVERYTHING, r"reporting function ": "EXECUTE"},
    COMPLIANCE: {},
    "creditlens_superset": {},
    roles.ANALYST: READS,
    roles.DASHBOARD: READS,
    WRITER: {
        # Policies are worked out with the rights of whoever asks; to readers the schema is closed.
        POLICY_FUNCTIONS: "EXECUTE",
        r"credit relation (feature|feature_category|feature_group|score_band|suggested_decision)$": "SELECT",
        r"credit relation policy(_feature|_line|_policy_id_seq)?$": "SELECT",
        r"credit relation (portfolio_state|advisor_portfolio|customer_region|run_withdrawal)$": "SELECT",
        r"credit relation (pointer_move|privacy_request)$": "",
        # What people decide is added by a function that the writer may not execute.
        r"credit relation (decision|review|review_conclusion)(_\w+_seq)?$": "SELECT",
        r"credit relation decision_ground$": "SELECT",
        r"credit relation (new_customer|score|shap_value|reason|former_customer)(_[rm]\d{8})?$": EVERYTHING,
        r"credit relation (similar_customer|similar_member|former_code)(_[rm]\d{8})?$": EVERYTHING,
        r"credit relation what_if(_summary)?(_r\d{8})?$": EVERYTHING,
        r"credit relation ": "SELECT INSERT UPDATE DELETE",
        r"creditlens_private relation schema_version$": "SELECT",
    },
    # It adds to what people decided, by one function, and reads nothing.
    roles.DECIDER: {r"credit function record_human_act$": "EXECUTE"},
    "creditlens_nobody": {},
}
PRIVILEGES = {"table": EVERYTHING.split(), "sequence": ["USAGE", "SELECT", "UPDATE"], "function": ["EXECUTE"]}
SCHEMAS = ["credit", "reporting", "public", "creditlens_private"]


@pytest.fixture(scope="module")
def settings(prefect_api: str, open_folder: Path, new_frame: pl.DataFrame) -> Iterator[Settings]:
    """An installation with a server of its own, on which the writer has trained and run a night."""
    from flows.nightly import nightly
    from flows.training import training

    folder = open_folder / "access"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("CREDITLENS_DATABASE_URL", "DATABASE_URL", "CREDITLENS_DATA"):
            patch.delenv(name, raising=False)
        patch.setenv("CREDITLENS_STATE", str(folder / "state"))
        patch.setenv("CREDITLENS_TRIALS", "0")
        patch.setenv("CREDITLENS_THREADS", "1")
        patch.setenv("CREDITLENS_RETAINED_RUNS", "2")
        made = Settings()
        prepare_database(made)
        superset.metadata_url(made)
        applications(2_000, seed=1, labelled=True).write_csv(folder / "train.csv")
        training([folder / "train.csv"])
        for night in range(4):
            new_frame.with_columns(pl.col("AMT_CREDIT") + night).write_csv(folder / "test.csv")
            nightly(folder / "test.csv")
        with psycopg.connect(psql_url(made.embedded().url(SUPERUSER)), autocommit=True) as connection:
            connection.execute("CREATE ROLE creditlens_nobody LOGIN")
        yield made
        made.embedded().stop()


@pytest.fixture(scope="module")
def server(settings: Settings) -> Iterator[psycopg.Connection]:
    with psycopg.connect(psql_url(settings.embedded().url(SUPERUSER)), autocommit=True) as connection:
        yield connection


def test_the_jobs_run_as_the_writer_and_retire_what_is_old(settings: Settings, server: psycopg.Connection) -> None:
    with database.database(settings, writer=True) as engine:
        assert engine.url.username == WRITER
    owners = server.execute(
        "SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class WHERE relname ~ '_r\\d{8}$' AND relkind = 'r'"
    ).fetchall()
    assert owners == [(WRITER,)]
    assert server.execute("SELECT count(*) FROM credit.scoring_run WHERE retired_at IS NOT NULL").fetchone() == (2,)
    with psycopg.connect(database.reader_url(settings)) as reader:
        assert reader.execute("SELECT count(*) FROM reporting.customer").fetchone() == (300,)


@pytest.mark.parametrize("role", MATRIX)
def test_a_role_may_do_what_the_matrix_says_with_every_object(server: psycopg.Connection, role: str) -> None:
    wrong, walked = [], 0
    objects = server.execute(
        "SELECT n.nspname || CASE c.relkind WHEN 'S' THEN ' sequence ' ELSE ' relation ' END || c.relname, c.oid,"
        "  CASE c.relkind WHEN 'S' THEN 'sequence' ELSE 'table' END"
        " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND n.nspname = ANY(%(schemas)s)"
        " UNION ALL SELECT n.nspname || ' function ' || p.proname, p.oid, 'function' FROM pg_proc p"
        " JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = ANY(%(schemas)s)",
        {"schemas": SCHEMAS},
    ).fetchall()
    assert {kind for *_, kind in objects} == set(PRIVILEGES)
    for name, oid, kind in objects:
        may = next((given for pattern, given in MATRIX[role].items() if re.match(pattern, name)), "").split()
        schema = name.split()[0]
        for privilege in PRIVILEGES[kind]:
            row = server.execute(
                f"SELECT has_{kind}_privilege(%s, %s::oid, %s) AND has_schema_privilege(%s, %s, 'USAGE')",
                [role, oid, privilege, role, schema],
            ).fetchone()
            walked += 1
            if row != (privilege in may,):
                wrong.append(f"{role}: {privilege} on {name} is {row}")
    assert wrong == []
    assert walked > 300


# Schemas in which a role may make something, what it may do with the database, whether it takes advisory locks.
BEYOND_OBJECTS: dict[str, tuple[set[str], set[str], bool]] = {
    # A member of the writer, whose tables its functions read.
    OWNER: ({"credit", "reporting", "public"}, {"CONNECT", "CREATE", "TEMP"}, True),
    MIGRATOR: ({"credit", "reporting", "public"}, {"CONNECT", "CREATE", "TEMP"}, True),
    VIEWS: (set(), set(), False),
    WRITER: ({"credit"}, {"CONNECT"}, True),
    roles.ANALYST: (set(), {"CONNECT"}, False),
    roles.DASHBOARD: (set(), {"CONNECT"}, False),
    COMPLIANCE: (set(), set(), False),
    roles.DECIDER: (set(), {"CONNECT"}, False),
    "creditlens_superset": (set(), set(), False),
    "creditlens_nobody": (set(), set(), False),
}


@pytest.mark.parametrize("role", MATRIX)
def test_a_role_makes_and_locks_only_what_is_written(server: psycopg.Connection, role: str) -> None:
    def has(question: str, *values: str) -> bool:
        return server.execute(f"SELECT {question}", [role, *values]).fetchone() == (True,)

    makes = {
        schema
        for schema in ("credit", "reporting", "public", "creditlens_private")
        if has("has_schema_privilege(%s, %s, 'CREATE')", schema)
    }
    may = {
        privilege
        for privilege in ("CONNECT", "CREATE", "TEMP")
        if has("has_database_privilege(%s, current_database(), %s)", privilege)
    }
    locks = server.execute(
        "SELECT bool_or(has_function_privilege(%s, oid, 'EXECUTE')), count(*) FROM pg_proc"
        " WHERE proname ~ '^pg_(try_)?advisory_'",
        [role],
    ).fetchone()
    assert locks is not None and locks[1] > 10
    assert (makes - {"creditlens_private"}, may, locks[0]) == BEYOND_OBJECTS[role]
    assert ("creditlens_private" in makes) == (role in {OWNER, MIGRATOR})
    # The servers' own databases are nobody's, but for making others from there.
    elsewhere = {
        name for name in ("postgres", "template1") if has("has_database_privilege(%s, %s, 'CONNECT')", name)
    }
    assert elsewhere == ({"postgres"} if role == MIGRATOR else set())


@pytest.mark.parametrize("role", MATRIX)
def test_what_tells_ends_or_writes_past_the_tables_is_the_migrators(
    settings: Settings, server: psycopg.Connection, role: str
) -> None:
    question = (
        "SELECT proname, bool_or(has_function_privilege(%s, oid, 'EXECUTE')) FROM pg_proc"
        # These two were a superuser's ever since.
        " WHERE proname ~ %s AND proname NOT IN ('lo_import', 'lo_export') GROUP BY 1"
    )
    found = dict(server.execute(question, [role, "|".join(public_functions.CLOSED)]).fetchall())
    assert {"ts_stat", "query_to_xml", "pg_terminate_backend", "lo_create", "pg_stat_get_activity"} <= set(found)
    assert set(found.values()) == {role == MIGRATOR}
    # What is true of the template is true of Superset's database too.
    url = settings.embedded().url(SUPERUSER, database="creditlens_superset")
    with psycopg.connect(psql_url(url)) as other:
        assert dict(other.execute(question, [role, "|".join(public_functions.CLOSED)]).fetchall()) == found


def test_every_role_of_ours_is_in_the_matrix_and_only_the_migrator_makes_roles(server: psycopg.Connection) -> None:
    found = server.execute(
        "SELECT rolname, rolcanlogin, rolcreaterole, rolsuper OR rolbypassrls FROM pg_roles"
        " WHERE rolname ~ '^creditlens'"
    ).fetchall()
    # What readers have in common, they have by it.
    assert {role for role, *_ in found} == {*MATRIX, roles.READER}
    assert {role for role, login, *_ in found if not login} == {OWNER, VIEWS, roles.READER}
    assert {role for role, _, makes, _ in found if makes} == {MIGRATOR}
    assert not any(free for *_, free in found)


def test_nothing_belongs_to_a_login_but_the_writers_tables(server: psycopg.Connection) -> None:
    owners = server.execute(
        "WITH ours AS (SELECT oid, nspname, nspowner FROM pg_namespace"
        "  WHERE nspname IN ('credit', 'reporting', 'creditlens_private'))"
        " SELECT pg_get_userbyid(datdba), 'database' FROM pg_database WHERE datname = current_database()"
        " UNION SELECT pg_get_userbyid(nspowner), 'schema ' || nspname FROM ours"
        " UNION SELECT pg_get_userbyid(c.relowner), nspname || ' ' || regexp_replace(relname, '_[rm]\\d{8}.*', '')"
        "  FROM pg_class c JOIN ours ON ours.oid = relnamespace"
        " UNION SELECT pg_get_userbyid(proowner), nspname || ' routine'"
        "  FROM pg_proc JOIN ours ON ours.oid = pronamespace"
    ).fetchall()
    assert {owner for owner, _ in owners} == {OWNER, VIEWS, WRITER}
    assert {what.split()[0] for owner, what in owners if owner == VIEWS} == {"reporting"}
    tables = {what for owner, what in owners if owner == WRITER and not re.search("pk_|ix_|pkey|_key", what)}
    parted = ("new_customer", "score", "shap_value", "reason", "what_if", "what_if_summary", "similar_customer")
    parted += ("similar_member", "former_customer", "former_code")
    assert tables == {f"credit {table}" for table in parted}


def test_a_reader_can_keep_no_night_out(settings: Settings) -> None:
    with (
        psycopg.connect(database.reader_url(settings)) as reader,
        pytest.raises(psycopg.errors.InsufficientPrivilege, match="advisory"),
    ):
        reader.execute("SELECT pg_advisory_lock(1)")


def test_the_writer_cannot_read_who_asked_about_whom_or_change_a_view(settings: Settings) -> None:
    with database.database(settings, writer=True) as engine:
        for statement in (
            "SELECT * FROM credit.privacy_request",
            "DELETE FROM credit.feature",
            "SELECT * FROM reporting.customer",
            "DROP VIEW reporting.customer CASCADE",
            "ALTER TABLE credit.scoring_run ADD COLUMN x int",
            f"SET ROLE {OWNER}",
            f"SET ROLE {MIGRATOR}",
        ):
            with engine.connect() as connection, pytest.raises(Exception, match="InsufficientPrivilege"):
                connection.exec_driver_sql(statement)


def test_preparing_again_and_a_backup_keep_the_matrix(settings: Settings, open_folder: Path) -> None:
    prepare_database(settings)
    file = open_folder / "access.backup"
    backups.save(settings, file)
    backups.bring_back(settings, file, force=True)
    with database.database(settings, writer=True) as engine:
        assert engine.url.username == WRITER
