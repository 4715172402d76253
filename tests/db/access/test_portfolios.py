"""Row security holds advisors to their own customers, whatever they ask, and nobody else to anything."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from db import schema
from db.access import portfolios, roles
from db.decisions import reasons
from db.engine import psql_url, transaction
from db.errors import RefusedError
from db.people import rows as people_rows
from db.runs import ledger, pointer
from db.server.embedded import new_password
from scoring.contract import Applications
from scoring.features import input_features
from scoring.training import Trained
from tests import portfolio
from tests.migrations.nights import load_model, publish_night

KEY = new_password()
Viewer = Callable[[int], str]
OWN = (500_003, 500_007)
OTHER = 500_011
REGION = 3
WORDS = {f"{kind}_{language}": "Words." for kind in ("refusal", "advisor") for language in ("en", "fr")}


def looking(username: str, *, key: str = KEY, **more: Any) -> Viewer:
    """What the dashboards say of who looks, for the connection of a server process."""
    return lambda backend: portfolio.sign(key, username, backend, **more)


@pytest.fixture(scope="module")
def nights(engine: Engine, trained: Trained, former: Applications, new: Applications) -> list[int]:
    """Two published nights with other amounts and decisions, and rejected rows of two people."""
    assert portfolios.ensure_key(engine, KEY)
    model_id = load_model(engine, trained, former)
    values = new.values.copy()
    values[:, [feature.name for feature in input_features()].index("AMT_CREDIT")] *= 0.8
    published = [
        publish_night(engine, model_id, trained, applications, date(2026, 3, day))[0]
        for day, applications in ((1, replace(new, values=values)), (2, new))
    ]
    catalogue = reasons.keep_catalogue(
        engine, sha256="0" * 64, text="One reason.", reasons=[{"code": "R00", "feature_ids": [], **WORDS}]
    )
    with transaction(engine) as connection:
        decline = "UPDATE credit.score SET decision = 'decline' WHERE run_id = :run"
        connection.execute(text(decline), {"run": published[0]})
        connection.execute(
            text(
                "INSERT INTO credit.reason (run_id, customer_id, place, code, catalogue_id)"
                " SELECT run_id, customer_id, 1, 'R00', :catalogue FROM credit.score"
            ),
            {"catalogue": catalogue},
        )
        for offers in (
            "INSERT INTO credit.what_if_summary (run_id, customer_id, outcome)"
            " SELECT run_id, customer_id, 'no_annuity' FROM credit.score",
            "INSERT INTO credit.what_if SELECT run_id, customer_id, 12, 100000, 9000, 0.1, 90, 'accept',"
            " true, true, true FROM credit.score",
        ):
            connection.execute(text(offers))
        portfolio.decide(connection, (*OWN, OTHER))
        for number, customer in enumerate((str(OWN[0]), str(OTHER), "12x", None)):
            connection.execute(
                text(
                    "INSERT INTO credit.rejected_application"
                    " VALUES (:run, :row, :customer, 'amt_credit', 'type', 'x')"
                ),
                {"run": published[-1], "row": number + 1, "customer": customer},
            )
    return published


@pytest.fixture(scope="module")
def limited(engine: Engine, nights: list[int]) -> Iterator[None]:
    """Portfolios are on; alice has two customers, bob a region, carol nobody."""
    portfolio.assign(engine, "alice", customers=OWN, by="test")
    portfolio.assign(engine, "bob", regions=[REGION], by="test")
    portfolios.switch(engine, limited=True, by="test")
    yield
    portfolios.switch(engine, limited=False, by="test")


@pytest.fixture(scope="module")
def ask(engine: Engine, reader_passwords: dict[str, str]) -> Callable[..., list[dict[str, Any]]]:
    """Asks as the dashboards' role, with what the dashboards say of who looks."""

    def asked(
        query: str, viewer: Viewer | str | None, role: str = roles.DASHBOARD, before: str = ""
    ) -> list[dict[str, Any]]:
        with reader(engine, reader_passwords, role, viewer) as connection:
            if before:
                connection.execute(before)
            return connection.execute(query).fetchall()

    return asked


@contextmanager
def reader(
    engine: Engine, passwords: dict[str, str], role: str, viewer: Viewer | str | None
) -> Iterator[psycopg.Connection[dict[str, Any]]]:
    url = psql_url(engine.url.set(username=role, password=passwords[role]))
    with psycopg.connect(url, row_factory=dict_row) as connection:
        if viewer is not None:
            said = viewer if isinstance(viewer, str) else viewer(connection.info.backend_pid)
            connection.execute("SELECT set_config(%s, %s, false)", [portfolios.SETTING, said])
            connection.commit()
        yield connection


def ids(rows: list[dict[str, Any]]) -> set[Any]:
    return {row["customer_id"] for row in rows}


@pytest.fixture(scope="module")
def customer_views(engine: Engine, nights: list[int]) -> dict[str, tuple[str, bool]]:
    """Every view with a customer's id: what it wants to be asked, and whether it speaks of everybody at once."""
    found = {}
    with engine.connect() as connection:
        for view, columns in connection.execute(
            text(
                "SELECT table_name, array_agg(column_name::text) FROM information_schema.columns"
                " WHERE table_schema = 'reporting' GROUP BY 1 HAVING bool_or(column_name = 'customer_id')"
            )
        ).all():
            filters = [f"{name} = 'All'" for name in columns if re.fullmatch(r"cohort_\w+_en", name)]
            condition = " AND ".join(["true", *filters])
            try:
                connection.execute(text(f"SELECT customer_id FROM reporting.{view} WHERE {condition}"))
                found[view] = condition, True
            except DBAPIError:
                connection.rollback()
                found[view] = condition, False
    return found


# Former customers are nobody's, and between these nights nothing moved a score.
NOT_OF_THESE_NIGHTS = {"former_customer", "score_change_part"}


def test_off_everybody_sees_everybody_and_no_table_has_row_security(
    engine: Engine, nights: list[int], ask: Callable[..., list[dict[str, Any]]]
) -> None:
    portfolios.switch(engine, limited=False, by="test")
    assert len(ids(ask("SELECT customer_id FROM reporting.customer", None))) == 300
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM pg_class WHERE relrowsecurity")) == 0
        assert connection.scalar(text("SELECT count(*) FROM credit.customer_region")) == 0


def test_an_advisor_sees_assigned_customers_in_every_view(
    limited: None,
    ask: Callable[..., list[dict[str, Any]]],
    customer_views: dict[str, tuple[str, bool]],
) -> None:
    assert len(customer_views) >= 20
    for view, (condition, of_everybody) in customer_views.items():
        own = {str(customer) for customer in OWN} if view == "rejected_row" else set(OWN)
        query = f"SELECT customer_id FROM reporting.{view} WHERE {condition}"
        viewer = looking("alice")
        if of_everybody:
            rows = ask(query, viewer)
            assert ids(rows) <= own, view
            assert rows or view in NOT_OF_THESE_NIGHTS, view
        for customer in (OWN[0], OTHER):
            question = f"{query} AND customer_id = {literal(view, customer)}"
            rows = ask(question, viewer)
            everybody = ids(ask(question, None, roles.ANALYST))
            assert ids(rows) == (everybody if customer == OWN[0] else set()), (view, customer)


def literal(view: str, customer: int) -> str:
    """The number as the view has it."""
    return f"'{customer}'" if view == "rejected_row" else str(customer)


def test_an_advisor_of_a_region_sees_tonights_customers_of_it(
    engine: Engine, limited: None, ask: Callable[..., list[dict[str, Any]]]
) -> None:
    with engine.connect() as connection:
        expected = set(
            connection.scalars(
                text(
                    "SELECT customer_id FROM credit.new_customer WHERE region_rating_client = :region"
                    " AND run_id = (SELECT run_id FROM credit.published_run)"
                ),
                {"region": REGION},
            )
        )
    assert 0 < len(expected) < 300
    for view in ("customer", "worklist", "customer_explanation", "score_history", "application"):
        rows = ask(f"SELECT customer_id FROM reporting.{view}", looking("bob"))
        assert ids(rows) == expected, view


FORGED: dict[str, Viewer | str | None] = {
    "nobody said who looks": None,
    "nonsense": "own",
    "another key": looking("alice", key="another-key-of-the-same-length-as-ours"),
    "another key, everybody": looking("alice", key="another-key-of-the-same-length-as-ours", everybody=True),
    "signed an hour ago": looking("alice", at=time.time() - 3600),
    "signed for tomorrow": looking("alice", at=time.time() + 86_400),
    "everybody under one's own signature": lambda backend: looking("alice")(backend).replace("own.", "all.", 1),
    "another name under one's own signature": lambda backend: looking("carol")(backend).replace(
        b"carol".hex(), b"alice".hex()
    ),
    "signed for another connection": lambda backend: looking("alice")(backend + 1),
    "signed for another connection, everybody": lambda backend: looking("ann", everybody=True)(backend + 1),
    "another connection's number under its own signature": lambda backend: looking("ann", everybody=True)(
        backend + 1
    ).replace(f".{backend + 1}.", f".{backend}."),
    "a name that has no customers": looking("carol"),
    "no name": looking(""),
}


@pytest.mark.parametrize("viewer", FORGED.values(), ids=FORGED.keys())
def test_who_is_not_known_sees_nobody(
    limited: None, ask: Callable[..., list[dict[str, Any]]], viewer: Viewer | str | None
) -> None:
    for view in ("customer", "customer_explanation", "score_history", "rejected_row", "former_customer"):
        assert not ask(f"SELECT customer_id FROM reporting.{view}", viewer), view


ATTEMPTS = {
    "sets the setting inside the query": "SELECT c.customer_id FROM (SELECT set_config('creditlens.viewer',"
    " 'all.9999999999.61.' || repeat('0', 64), false) OFFSET 0) AS s, reporting.customer AS c",
    "makes an error tell": "SELECT customer_id FROM reporting.customer"
    f" WHERE 1 / (CASE WHEN customer_id = {OTHER} THEN 0 ELSE 1 END) = 1",
    "asks for an application": f"SELECT {OTHER} AS customer_id FROM reporting.new_customer({OTHER})",
    "asks for the index": "SELECT customer_id FROM reporting.new_customer_index()",
    "asks for contributions": f"SELECT {OTHER} AS customer_id FROM reporting.shap_values({OTHER})",
    "asks for reasons of several": f"SELECT customer_id FROM reporting.customer_reasons(ARRAY[{OTHER}])",
    "asks for changes of several": f"SELECT customer_id FROM reporting.customer_changes(ARRAY[{OTHER}])",
    "asks for a run's scores": "SELECT f.customer_id"
    " FROM reporting.run_history AS r, reporting.scores_of(r.run_id) AS f",
    "asks for a run's explanations": "SELECT f.customer_id FROM reporting.run_history AS r,"
    f" reporting.explanation_of(r.run_id, ARRAY[{OTHER}]) AS f",
    "joins": "SELECT b.customer_id FROM reporting.customer a JOIN reporting.score_history b ON true",
    "unites": f"SELECT customer_id FROM reporting.customer WHERE customer_id = {OTHER} UNION SELECT customer_id"
    " FROM reporting.worklist",
}


def test_an_advisor_asks_for_several_of_the_own_customers_and_any_run(
    limited: None, nights: list[int], ask: Callable[..., list[dict[str, Any]]]
) -> None:
    asked = f"ARRAY[{', '.join(map(str, (*OWN, OTHER)))}]"
    for function in (
        f"customer_reasons({asked})",
        f"explanation_of({nights[0]}, {asked})",
        f"scores_of({nights[0]})",
    ):
        assert ids(ask(f"SELECT customer_id FROM reporting.{function}", looking("alice"))) == set(OWN), function


@pytest.mark.parametrize("query", ATTEMPTS.values(), ids=ATTEMPTS.keys())
def test_no_way_of_asking_gets_around_it(
    limited: None, ask: Callable[..., list[dict[str, Any]]], query: str
) -> None:
    assert ids(ask(query, looking("alice"))) <= set(OWN)


REFUSED = {
    "read the key": "SELECT * FROM creditlens_private.viewer_key",
    "read who has whom": "SELECT * FROM credit.advisor_portfolio",
    "call the functions of the policies": "SELECT credit.sees_everybody()",
    "become the owner of the views": "SET ROLE creditlens_reporting",
    "switch row security off": "ALTER TABLE credit.score DISABLE ROW LEVEL SECURITY",
}


@pytest.mark.parametrize("statement", REFUSED.values(), ids=REFUSED.keys())
@pytest.mark.parametrize("role", [roles.DASHBOARD, roles.ANALYST])
def test_readers_may_not(
    limited: None, ask: Callable[..., list[dict[str, Any]]], role: str, statement: str
) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        ask(statement, looking("alice"), role, "SET TRANSACTION READ WRITE")


def test_setting_row_security_off_shows_an_advisor_nothing_more(
    limited: None, ask: Callable[..., list[dict[str, Any]]]
) -> None:
    viewer = looking("alice")
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
        ask("SELECT customer_id FROM reporting.customer", viewer, before="SET row_security = off")
    rows = ask("SELECT customer_id FROM reporting.customer", viewer, before="SET ROLE creditlens_reader")
    assert ids(rows) == set(OWN)


def test_analysts_and_those_whom_the_dashboards_vouch_for_see_everybody(
    limited: None, ask: Callable[..., list[dict[str, Any]]]
) -> None:
    query = "SELECT customer_id FROM reporting.customer"
    assert len(ids(ask(query, None, roles.ANALYST))) == 300
    assert len(ids(ask(query, looking("operator", everybody=True)))) == 300


def test_who_is_like_a_customer_is_counted_for_the_own_customers_only(
    limited: None, nights: list[int], ask: Callable[..., list[dict[str, Any]]]
) -> None:
    """Also for who makes up what the views hand to the functions."""
    model = ask("SELECT model_id FROM reporting.published_run", None, roles.ANALYST)[0]["model_id"]
    forged = (
        f"SELECT (reporting.rate_cohort(ARRAY[ROW({model}, NULL, NULL, NULL, array_fill(0, ARRAY[10]), {{}})"
        "::reporting.cohort_row])).members"
    )
    called = "SELECT members FROM reporting.cohort_statistics('SCORE', like_customer => {}) WHERE outcome = 'all'"
    for question in (forged, called):
        assert ask(question.format(OWN[0]), looking("alice")) == [{"members": 200}]
        assert ask(question.format(OTHER), looking("alice")) == [{"members": None}]
        assert ask(question.format(OTHER), None, roles.ANALYST) == [{"members": 200}]


def test_what_is_said_of_the_night_as_a_whole_stays(
    engine: Engine, limited: None, ask: Callable[..., list[dict[str, Any]]]
) -> None:
    for view in ("published_run", "run_history", "score_distribution", "feature_importance", "model_card"):
        with engine.connect() as connection:
            whole = connection.scalar(text(f"SELECT count(*) FROM reporting.{view}"))
        assert ask(f"SELECT count(*) FROM reporting.{view}", looking("alice"))[0]["count"] == whole


def test_a_plan_works_out_who_looks_once_and_finds_one_customer_by_the_index(
    limited: None, ask: Callable[..., list[dict[str, Any]]]
) -> None:
    query = f"EXPLAIN (COSTS off) SELECT * FROM reporting.customer_explanation WHERE customer_id = {OWN[0]}"
    plan = "\n".join(row["QUERY PLAN"] for row in ask(query, looking("alice")))
    assert "InitPlan" in plan
    assert "shap_value_r" in plan
    assert "Index Cond: (customer_id = 500003)" in plan
    assert "Seq Scan on shap_value" not in plan


def test_nights_moves_and_the_owner_go_on_as_ever(
    engine: Engine,
    limited: None,
    nights: list[int],
    trained: Trained,
    new: Applications,
    ask: Callable[..., list[dict[str, Any]]],
) -> None:
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM credit.score")) == 600
        model_id = connection.scalar(text("SELECT model_id FROM credit.model_version"))
    half = new.take(list(range(150)))
    run_id, _ = publish_night(engine, model_id, trained, half, date(2026, 3, 3))
    located = "SELECT sum(upper(r) - lower(r)) FROM credit.customer_region, unnest(customers) AS r"
    with engine.connect() as connection:
        assert connection.scalar(text(located)) == 150
    assert ids(ask("SELECT customer_id FROM reporting.customer", looking("alice"))) == set(OWN)
    pointer.move(engine, nights[-1], by="test")
    with engine.connect() as connection:
        assert connection.scalar(text(located)) == 300
    # What readers see is compared with the night before it, whose details stay.
    assert ledger.retire(engine, retained_runs=2) == []
    pointer.move(engine, run_id, by="test")
    assert ledger.retire(engine, retained_runs=2) == [nights[0]]
    pointer.move(engine, nights[-1], by="test")
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM credit.past_score")) == 300
    history = ask("SELECT customer_id, run_id FROM reporting.score_history", looking("alice"))
    assert ids(history) == set(OWN)
    assert {row["run_id"] for row in history} == {*nights, run_id}


def test_who_is_erased_is_in_no_region_any_more(
    engine: Engine, limited: None, ask: Callable[..., list[dict[str, Any]]]
) -> None:
    viewer = looking("bob")
    before = ids(ask("SELECT customer_id FROM reporting.customer", viewer))
    erased = max(before)
    assert people_rows.find(engine, erased)["credit.customer_region"] == 1
    removed = people_rows.erase(engine, erased, describe=lambda *_: None)
    assert removed["customer_region"] == 1
    people_rows.scrub(engine, sorted(removed), erased)
    assert people_rows.find(engine, erased) == {}
    assert ids(ask("SELECT customer_id FROM reporting.customer", viewer)) == before - {erased}


def test_a_list_of_a_whole_region_asks_no_table_for_each_customer(
    limited: None, ask: Callable[..., list[dict[str, Any]]]
) -> None:
    plan = [
        row["QUERY PLAN"] for row in ask("EXPLAIN (COSTS off) SELECT * FROM reporting.worklist", looking("bob"))
    ]
    filters = [line for line in plan if "Filter" in line and "hashed SubPlan" in line]
    assert filters
    assert all("::bigint <@ ANY ((InitPlan" in line and "credit." not in line for line in filters)


def test_assigning_twice_changes_nothing_and_every_change_counts(engine: Engine, limited: None) -> None:
    version = portfolios.state(engine).version
    assert portfolio.assign(engine, "alice", customers=[*OWN, OWN[0]], by="test") == 0
    assert portfolios.state(engine).version == version
    assert portfolio.assign(engine, "dave", customers=[OTHER, 7], regions=[1], by="test") == 3
    assert portfolios.state(engine).version == version + 1
    found = portfolios.assignments(engine, "dave")
    assert {(one.customer_id, one.region_rating) for one in found} == {(OTHER, None), (7, None), (None, 1)}
    assert portfolios.unassign(engine, "dave", customers=[7], regions=[1]) == 2
    assert portfolios.unassign(engine, "dave", everything=True) == 1
    assert portfolios.unassign(engine, "dave", everything=True) == 0
    assert portfolios.state(engine).version == version + 3


def test_switching_again_changes_nothing(engine: Engine, limited: None) -> None:
    before = portfolios.state(engine)
    assert before.limited
    assert portfolios.switch(engine, limited=True, by="somebody else") == before


def test_the_highest_number_that_a_customer_may_have_is_in_a_region_too(engine: Engine, limited: None) -> None:
    """The end of a range is the number after its last one, which no integer is then."""
    with engine.connect() as connection:
        published = "run_id = (SELECT run_id FROM credit.published_run)"
        some = f"(SELECT min(customer_id) FROM credit.new_customer WHERE {published} AND region_rating_client = 1)"
        highest = "UPDATE credit.new_customer SET customer_id = 2147483647"
        connection.execute(text(f"{highest} WHERE {published} AND customer_id = {some}"))
        connection.execute(text("UPDATE credit.published_run SET run_id = run_id"))
        found = "SELECT region_rating FROM credit.customer_region WHERE customers @> 2147483647::bigint"
        assert connection.scalar(text(found)) == 1
        connection.rollback()


def test_advisors_see_the_same_after_the_regions_were_made_anew(
    engine: Engine, limited: None, ask: Callable[..., list[dict[str, Any]]], reader_passwords: dict[str, str]
) -> None:
    viewers = {name: looking(name) for name in ("alice", "bob", "carol")}
    query = "SELECT customer_id FROM reporting.customer"
    before = {name: ids(ask(query, viewer)) for name, viewer in viewers.items()}
    assert len(before["bob"]) > 10
    schema.downgrade(engine, "0005")
    assert schema.upgrade(engine) is True
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        ask(query, viewers["bob"])
    assert roles.ensure_owner(engine)
    assert roles.ensure_readers(engine, reader_passwords)
    assert {name: ids(ask(query, viewer)) for name, viewer in viewers.items()} == before


def test_it_is_refused_where_the_views_owner_could_bypass_it(
    new_database: Callable[[], Engine], reader_passwords: dict[str, str]
) -> None:
    engine = new_database()
    portfolios.ensure_key(engine, KEY)
    with transaction(engine) as connection:
        connection.execute(text("ALTER VIEW reporting.customer OWNER TO CURRENT_USER"))
    with pytest.raises(RefusedError, match="creditlens migrate"):
        portfolios.switch(engine, limited=True, by="test")
    assert roles.ensure_readers(engine, reader_passwords)
    assert portfolios.switch(engine, limited=True, by="test").limited


def test_the_migration_goes_back_while_it_is_on(new_database: Callable[[], Engine]) -> None:
    engine = new_database()
    portfolios.ensure_key(engine, KEY)
    portfolios.switch(engine, limited=True, by="test")
    schema.downgrade(engine, "0004")
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM pg_class WHERE relrowsecurity")) == 0
        assert connection.scalar(text("SELECT count(*) FROM pg_policies")) == 0
    schema.upgrade(engine)
    schema.check(engine)
