"""What people decide is recorded whole, once, by the right person, and never changed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, text

from db.access import portfolios, roles
from db.decisions import records
from db.engine import psql_url, transaction
from db.people import copy, rows
from db.server.embedded import SUPERUSER, EmbeddedPostgres, new_password
from tests import portfolio
from tests.db.ledger import new_model, night

KEY = new_password()
TABLES = ("decision", "review", "review_conclusion")
ACT = "SELECT credit.record_human_act(%s, %s, %s)"
Act = Callable[..., int]


@pytest.fixture(scope="module")
def run(engine: Engine) -> int:
    """One published night of the customers 7, 8 and 9."""
    assert portfolios.ensure_key(engine, KEY)
    assert roles.ensure_writer(engine, new_password())
    return night(engine, new_model(engine))


@pytest.fixture(scope="module")
def url(engine: Engine, reader_passwords: dict[str, str]) -> str:
    return psql_url(engine.url.set(username=roles.DECIDER, password=reader_passwords[roles.DECIDER]))


@pytest.fixture(scope="module")
def act(url: str, run: int) -> Act:
    """Acts as the dashboards' pages do, on behalf of somebody."""

    def acting(what: str, customer: int, who: str, *, everybody: bool = False, **said: Any) -> int:
        with psycopg.connect(url) as connection:
            signed = portfolio.sign(KEY, who, connection.info.backend_pid, everybody=everybody)
            connection.execute("SELECT set_config('creditlens.viewer', %s, false)", [signed])
            row = connection.execute(ACT, [what, customer, json.dumps({"run_id": run, **said})]).fetchone()
        assert row is not None
        return int(row[0])

    return acting


@pytest.fixture
def people(engine: Engine) -> None:
    """Nobody has decided anything."""
    for customer in (7, 8, 9):
        with transaction(engine) as connection:
            connection.execute(text(f"SELECT set_config('creditlens.erased_customer', '{customer}', true)"))
            for table in TABLES:
                connection.execute(text(f"DELETE FROM credit.{table} WHERE customer_id = {customer}"))


REFUSE = {"decision": "refuse", "reason_code": "burden", "note": "Too much."}
ACCEPT = {"decision": "accept", "reason_code": "guarantee"}


def refused(word: str) -> Any:
    return pytest.raises(psycopg.Error, match=f"^{word}")


def test_a_decision_keeps_what_was_on_the_screen(engine: Engine, run: int, act: Act, people: None) -> None:
    made = act("decide", 7, "alice", seen=0, decision="accept_other_terms", amount=250_000.5, duration=36,
               reason_code="other_terms", note=" A smaller one. ")  # fmt: skip
    with engine.connect() as connection:
        row = connection.execute(text("SELECT * FROM reporting.decision")).mappings().one()
        score = connection.execute(text("SELECT * FROM credit.score WHERE customer_id = 7")).mappings().one()
        worklist = connection.execute(text("SELECT customer_id, state FROM reporting.worklist")).all()
    assert row["decision_id"] == made and row["supersedes"] is None and row["run_id"] == run
    assert (row["decision"], row["amount"], row["duration"]) == ("accept_other_terms", 250_000.5, 36)
    assert (row["recommendation"], row["score"], row["band"]) == ("accept", score["score"], "A")
    assert row["default_probability"] == score["default_probability"]
    assert (row["note"], row["decided_by"], row["follows"]) == ("A smaller one.", "alice", 0)
    assert sorted(tuple(one) for one in worklist) == [(7, "decided"), (8, "open"), (9, "open")]


@pytest.fixture
def offers(engine: Engine, run: int) -> Iterator[None]:
    """Customer 7 gets a yes for 312,000.55 over 36 months, and none for 400,000."""
    row = "INSERT INTO credit.what_if VALUES ({}, 7, 36, {}, {}, 0.05, 95, '{}', true, {}, false)"
    with transaction(engine) as connection:
        connection.execute(text(row.format(run, 312_000.55, 9_876.54, "accept", "true")))
        connection.execute(text(row.format(run, 400_000, 12_661.98, "decline", "false")))
    yield
    with transaction(engine) as connection:
        connection.execute(text("DELETE FROM credit.what_if"))


def test_a_picked_offer_is_kept_with_its_annuity_and_typed_terms_without(
    engine: Engine, act: Act, people: None, offers: None
) -> None:
    terms = {"decision": "accept_other_terms", "amount": 312_000.55, "duration": 36, "reason_code": "other_terms"}
    first = act("decide", 7, "alice", seen=0, offer=True, **terms)
    act("decide", 7, "alice", seen=first, **terms)
    with engine.connect() as connection:
        found = connection.execute(
            text("SELECT amount, duration, annuity, is_offer FROM reporting.decision ORDER BY decision_id")
        ).all()
        lines = connection.execute(
            text("SELECT html_en, html_fr FROM reporting.customer_decision WHERE customer_id = 7 AND ord = 2")
        ).one()
    assert [tuple(row) for row in found] == [(312_000.55, 36, 9_876.54, 1), (312_000.55, 36, None, 0)]
    assert ": Accepted on other terms, 312,000.55 €, 36 months (≠ otherwise)" in lines.html_en
    assert ", 312\u202f000,55\u00a0€, 36 mois (≠ autrement)" in lines.html_fr
    assert [row["annuity"] for row in copy.everything(engine, 7)["decisions"]] == [9_876.54, None]


@pytest.mark.parametrize(
    "other", [{"amount": 400_000}, {"amount": 312_000.54}, {"duration": 35}, {"customer": 8}, {"amount": None}]
)
def test_what_the_night_does_not_accept_is_no_offer(
    act: Act, people: None, offers: None, other: dict[str, Any]
) -> None:
    said = {"amount": 312_000.55, "duration": 36, "customer": 7, **other}
    with refused("no_offer"):
        act("decide", said.pop("customer"), "alice", seen=0, offer=True, decision="accept_other_terms",
            reason_code="other_terms", **said)  # fmt: skip


def test_only_other_terms_are_an_offer(act: Act, people: None, offers: None) -> None:
    with refused("not_whole"):
        act("decide", 7, "alice", seen=0, offer=True, amount=312_000.55, duration=36, **ACCEPT)


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ({"decision": "maybe", "reason_code": "burden"}, "not_whole"),
        ({"decision": "accept", "reason_code": "mood"}, "no_reason"),
        ({"decision": "accept", "reason_code": "other", "note": " "}, "no_note"),
        ({"decision": "accept_other_terms", "reason_code": "other_terms"}, "not_whole"),
        ({"decision": "accept_other_terms", "reason_code": "other_terms", "amount": 5}, "not_whole"),
        ({"decision": "accept", "reason_code": "guarantee", "amount": 5, "duration": 6}, "not_whole"),
        ({"decision": "accept_other_terms", "reason_code": "guarantee", "amount": -5, "duration": 6}, "not_whole"),
        ({"decision": "accept_other_terms", "reason_code": "guarantee", "amount": "x", "duration": 6}, "not_whole"),
        (
            {"decision": "accept_other_terms", "reason_code": "guarantee", "amount": "NaN", "duration": 6},
            "not_whole",
        ),
        ({**REFUSE, "note": "x" * 4001}, "not_whole"),
        ({**REFUSE, "run_id": 999_999}, "new_night"),
        ({**REFUSE, "seen": 999_999}, "faster"),
    ],
)
def test_half_a_decision_is_refused(act: Act, people: None, said: dict[str, Any], word: str) -> None:
    with refused(word):
        act("decide", 7, "alice", **{"seen": 0, **said})


def test_nobody_decides_on_whom_no_night_knows_or_without_a_name(act: Act, url: str, people: None) -> None:
    with refused("not_yours"):
        act("decide", 12_345, "alice", seen=0, **REFUSE)
    with refused("unsigned"):
        act("decide", 7, "", seen=0, **REFUSE)
    with psycopg.connect(url) as connection, refused("unsigned"):
        connection.execute(ACT, ["decide", 7, json.dumps({"seen": 0, **REFUSE})])


def test_the_second_sees_that_the_first_was_faster_and_then_supersedes(
    engine: Engine, act: Act, people: None
) -> None:
    first = act("decide", 7, "alice", seen=0, **REFUSE)
    with refused("faster"):
        act("decide", 7, "bob", seen=0, **ACCEPT)
    second = act("decide", 7, "bob", seen=first, **ACCEPT)
    with engine.connect() as connection:
        found = connection.execute(
            text("SELECT decision_id, supersedes, is_current, is_reversal FROM reporting.decision ORDER BY 1")
        ).all()
    assert [tuple(row) for row in found] == [(first, None, False, 0), (second, first, True, 1)]


def test_a_review_is_concluded_by_somebody_else(engine: Engine, act: Act, people: None) -> None:
    with refused("nothing_decided"):
        act("ask_review", 7, "alice", seen=0, point_of_view="Please look again.")
    made = act("decide", 7, "alice", seen=0, **REFUSE)
    with refused("not_whole"):
        act("ask_review", 7, "alice", seen=made, point_of_view="  ")
    asked = act("ask_review", 7, "alice", seen=made, point_of_view="I have a new job.")
    with refused("in_review"):
        act("ask_review", 7, "alice", seen=made, point_of_view="Again.")
    with refused("in_review"):
        act("decide", 7, "bob", seen=made, **ACCEPT)
    with refused("four_eyes"):
        act("conclude", 7, "alice", review_id=asked, outcome="upheld", conclusion="No.")
    with refused("same_decision"):
        act("conclude", 7, "bob", review_id=asked, outcome="changed", conclusion="Yes.", **REFUSE)
    act("conclude", 7, "bob", review_id=asked, outcome="changed", conclusion="A contract was shown.", **ACCEPT)
    with refused("faster"):
        act("conclude", 7, "carol", review_id=asked, outcome="upheld", conclusion="Late.")
    with engine.connect() as connection:
        review = connection.execute(text("SELECT * FROM reporting.review")).mappings().one()
        held = connection.execute(text("SELECT * FROM reporting.decision WHERE is_current")).mappings().one()
    assert (review["state"], review["concluded_by"], review["decided_by"]) == ("changed", "bob", "alice")
    assert (review["due_at"] - review["asked_at"]).total_seconds() == pytest.approx(30 * 86_400, abs=1)
    assert (held["decision_id"], held["supersedes"]) == (review["new_decision_id"], made)
    assert held["review_id"] == asked


def test_an_upheld_decision_stays_and_may_be_asked_about_again(engine: Engine, act: Act, people: None) -> None:
    made = act("decide", 8, "alice", seen=0, **REFUSE)
    asked = act("ask_review", 8, "alice", seen=made, point_of_view="Why?")
    act("conclude", 8, "bob", review_id=asked, outcome="upheld", conclusion="For the same reasons.")
    assert act("ask_review", 8, "alice", seen=made, point_of_view="Again, why?") > asked
    with engine.connect() as connection:
        state = connection.scalar(text("SELECT state FROM reporting.worklist WHERE customer_id = 8"))
    assert state == "in_review"


@pytest.fixture
def limited(engine: Engine, run: int) -> Any:
    portfolio.assign(engine, "alice", customers=[7], by="test")
    portfolios.switch(engine, limited=True, by="test")
    yield
    portfolios.switch(engine, limited=False, by="test")


@pytest.mark.parametrize("what", ["decide", "ask_review", "conclude"])
def test_another_advisors_customer_is_not_acted_on(act: Act, people: None, limited: None, what: str) -> None:
    for who, customer in (("alice", 8), ("bob", 7), ("bob", 8)):
        with refused("not_yours"):
            act(what, customer, who, seen=0, **REFUSE)


def test_the_own_customer_and_a_team_lead_are_let_in_and_see_it(
    engine: Engine, act: Act, people: None, limited: None, reader_passwords: dict[str, str]
) -> None:
    act("decide", 7, "alice", seen=0, **REFUSE)
    act("decide", 8, "lead", everybody=True, seen=0, **REFUSE)
    url = psql_url(engine.url.set(username=roles.DASHBOARD, password=reader_passwords[roles.DASHBOARD]))
    for who, everybody, expected in (("alice", False, [7]), ("bob", False, []), ("lead", True, [7, 8])):
        with psycopg.connect(url) as connection:
            signed = portfolio.sign(KEY, who, connection.info.backend_pid, everybody=everybody)
            connection.execute("SELECT set_config('creditlens.viewer', %s, false)", [signed])
            seen = connection.execute("SELECT customer_id FROM reporting.decision ORDER BY 1").fetchall()
        assert [customer for (customer,) in seen] == expected


def test_the_deciders_login_may_call_one_function_and_nothing_else(engine: Engine, url: str) -> None:
    with engine.connect() as connection:
        may = connection.scalars(
            text(
                "SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace::regnamespace::text"
                " IN ('credit', 'reporting', 'creditlens_private')"
                " AND has_function_privilege('creditlens_decider', oid, 'EXECUTE')"
            )
        ).all()
        reads = connection.scalars(
            text(
                "SELECT oid::regclass::text FROM pg_class WHERE relnamespace::regnamespace::text"
                " IN ('credit', 'reporting', 'creditlens_private') AND relkind IN ('r', 'v', 'p', 'S')"
                " AND has_table_privilege('creditlens_decider', oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE')"
            )
        ).all()
    assert may == ["credit.record_human_act(text,integer,jsonb)"]
    assert reads == []


CHANGES = {
    "update": "UPDATE credit.{table} SET customer_id = 1",
    "delete": "DELETE FROM credit.{table}",
    "truncate": "TRUNCATE credit.{table} CASCADE",
}


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(
    "role", ["analyst", "dashboard", "decider", "writer", "reader", "reporting", "compliance", "owner", "migrator",
             "postgres"]
)  # fmt: skip
def test_no_role_changes_what_people_decided(
    postgres: EmbeddedPostgres, engine: Engine, act: Act, people: None, role: str, change: str, table: str
) -> None:
    """The owner and a superuser too, who are refused by the table itself."""
    made = act("decide", 7, "alice", seen=0, **REFUSE)
    asked = act("ask_review", 7, "alice", seen=made, point_of_view="Why?")
    act("conclude", 7, "bob", review_id=asked, outcome="upheld", conclusion="So.")
    database = engine.url.database or ""
    with psycopg.connect(psql_url(postgres.url(SUPERUSER, database=database))) as connection:
        name = role if role == "postgres" else f"creditlens_{role}"
        if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name]).fetchone() is None:
            connection.execute(f"CREATE ROLE {name}".encode())
        connection.execute(f"SET ROLE {name}".encode())
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(CHANGES[change].format(table=table).encode())
        connection.rollback()
        count = connection.execute(f"SELECT count(*) FROM credit.{table}".encode()).fetchone()
    assert count == (1,)


def test_fifty_people_at_once_lose_nothing_and_double_nothing(engine: Engine, act: Act, people: None) -> None:
    """All on one customer: whoever was too late looks again, until everybody has decided once."""

    def persists(number: int) -> tuple[int, int]:
        late = 0
        while True:
            with engine.connect() as connection:
                seen = connection.scalar(text("SELECT max(decision_id) FROM credit.decision WHERE customer_id = 9"))
            try:
                return act(
                    "decide", 9, f"person {number}", seen=seen or 0, **(ACCEPT if number % 2 else REFUSE)
                ), late
            except psycopg.Error as error:
                if not str(error).startswith("faster"):
                    raise
                late += 1

    with ThreadPoolExecutor(max_workers=25) as pool:
        made = list(pool.map(persists, range(50)))
    with engine.connect() as connection:
        found = connection.execute(
            text("SELECT decision_id, supersedes, decided_by FROM credit.decision ORDER BY decision_id")
        ).all()
    assert Counter(row.decided_by for row in found) == {f"person {number}": 1 for number in range(50)}
    assert sorted(number for number, _ in made) == [row.decision_id for row in found]
    assert [row.supersedes for row in found] == [None, *(row.decision_id for row in found[:-1])]


def test_decisions_are_forgotten_after_their_years_unless_a_review_is_open(
    engine: Engine, act: Act, people: None
) -> None:
    old = act("decide", 7, "alice", seen=0, **REFUSE)
    open_one = act("decide", 8, "alice", seen=0, **REFUSE)
    act("ask_review", 8, "alice", seen=open_one, point_of_view="Why?")
    act("decide", 9, "alice", seen=0, **REFUSE)
    assert records.forget_expired(engine, 1) == 0
    with transaction(engine) as connection:
        # As time does: no role may.
        connection.execute(text("ALTER TABLE credit.decision DISABLE TRIGGER USER"))
        connection.execute(
            text("UPDATE credit.decision SET decided_at = now() - interval '2 years' WHERE customer_id < 9")
        )
        connection.execute(text("ALTER TABLE credit.decision ENABLE TRIGGER USER"))
    assert records.forget_expired(engine, 1) == 1
    with engine.connect() as connection:
        kept = connection.scalars(text("SELECT customer_id FROM credit.decision ORDER BY 1")).all()
    assert kept == [8, 9] and old


def test_a_person_is_given_it_all_and_erased_from_it(engine: Engine, act: Act, people: None) -> None:
    made = act("decide", 7, "alice", seen=0, **REFUSE)
    asked = act("ask_review", 7, "alice", seen=made, point_of_view="I am 7.")
    act("conclude", 7, "bob", review_id=asked, outcome="changed", conclusion="Right.", **ACCEPT)
    act("decide", 8, "alice", seen=0, decision="refuse", reason_code="other", note="Married to customer 7.")
    held = copy.everything(engine, 7)
    assert [row["decision"] for row in held["decisions"]] == ["refuse", "accept"]
    assert held["decisions"][0]["ground_fr"] == "La charge serait trop lourde pour le foyer"
    assert held["reviews"][0]["point_of_view"] == "I am 7." and held["reviews"][0]["conclusion"] == "Right."
    removed = rows.erase(engine, 7, describe=lambda _connection, _model: None)
    assert {table: removed[table] for table in TABLES} == {"decision": 3, "review": 1, "review_conclusion": 1}
    with engine.connect() as connection:
        notes = connection.scalars(text("SELECT note FROM credit.decision")).all()
    assert notes == ["Married to customer erased."]
