"""Similar former customers as a night keeps them: found by plain comparison too, and never one who is erased.

Cohorts of those who are like a customer are counted of the same people as the card.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pytest
from sqlalchemy import Engine, text

from db.people import copy, rows
from db.runs.audit_similar import audit_similar
from flows.privacy.stores.database import describe_former
from flows.steps.run_similar import RunSimilar, compared_again, run_similar
from scoring.batch import Scored
from scoring.bundle import ModelBundle, digest
from scoring.contract import Applications
from scoring.preprocess import explained_features
from scoring.similar.codes import to_log_odds
from scoring.training import Trained
from tests.migrations.nights import Query, checked, load_model, publish_night

PARTS = {"part": "customer", "members": "member"}
EVERY_FILTER = (
    *("credit", "age", "annuity_income", "gender", "education"),
    *("family", "housing", "occupation", "region", "contract"),
)


def like(query: Query, customer: int, chosen: str = "Yes") -> dict[str, Any]:
    """The cohort of those like a customer, as Compare asks for it."""
    others = " AND ".join(f"cohort_{name}_en = 'All'" for name in EVERY_FILTER)
    return query.one(
        "SELECT (reporting.cohort_rate(cohort)).* FROM reporting.customer_cohort"
        f" WHERE customer_id = :customer AND cohort_like_en = :chosen AND {others}",
        customer=customer, chosen=chosen,
    )  # fmt: skip


class World(NamedTuple):
    engine: Engine
    query: Query
    model_id: int
    run_id: int
    similar: RunSimilar
    chunks: list[Scored]

    @property
    def customers(self) -> int:
        return sum(len(chunk.applications) for chunk in self.chunks)

    def failing(self, change: str) -> list[str]:
        """The checks that do not pass after a change of what is kept, which is then taken back."""
        tables = {name: f"credit.similar_{of}_r{self.run_id:08d}" for name, of in PARTS.items()}
        with self.engine.begin() as connection:
            for name, table in tables.items():
                connection.execute(text(f"CREATE TABLE credit.before_{name} AS SELECT * FROM {table}"))
            connection.execute(text(change.format(**tables)))
        try:
            again = compared_again(self.similar, self.chunks)
            checks = audit_similar(self.engine, self.run_id, customers=self.customers, again=again)
            return [check.name for check in checks if not check.passed]
        finally:
            with self.engine.begin() as connection:
                for name, table in tables.items():
                    connection.execute(text(f"DELETE FROM {table}"))
                    connection.execute(text(f"INSERT INTO {table} SELECT * FROM credit.before_{name}"))
                    connection.execute(text(f"DROP TABLE credit.before_{name}"))


@pytest.fixture(scope="module")
def world(
    new_database: Callable[[], Engine], trained: Trained, former: Applications, new_frame: pl.DataFrame
) -> World:
    engine = new_database()
    model_id = load_model(engine, trained, former)
    run_id, chunks = publish_night(engine, model_id, trained, checked(new_frame), date(2026, 3, 1))
    similar = run_similar(engine, model_id, trained.bundle, threads=2)
    assert similar is not None
    return World(engine, Query(engine), model_id, run_id, similar, list(chunks))


def test_what_is_kept_is_what_comparing_with_everybody_finds(world: World) -> None:
    kept = world.query(
        "SELECT * FROM credit.similar_customer JOIN credit.similar_member USING (run_id, customer_id)"
        " ORDER BY customer_id"
    )
    plain = sorted(
        (each for chunk in world.chunks for each in world.similar.plainly(chunk)), key=lambda each: each.customer_id
    )
    assert len(kept) == world.customers
    for row, each in zip(kept, plain, strict=True):
        assert (row["customer_id"], row["neighbours"], row["defaulted"], row["distance"]) == (
            each.customer_id, each.neighbours, each.defaulted, each.distance,
        )  # fmt: skip
        assert row["default_rate"] == each.defaulted / each.neighbours
        assert tuple(row["members"]) == each.members


def test_the_cohort_of_those_like_a_customer_is_whom_the_card_counts(world: World) -> None:
    cards = world.query("SELECT * FROM reporting.similar_customers ORDER BY md5(customer_id::text) LIMIT 40")
    everybody = len(world.similar.target)
    for card in cards:
        cohort = like(world.query, card["customer_id"])
        assert (cohort["members"], cohort["defaulted"]) == (card["neighbours"], card["defaulted"])
        assert cohort["default_rate"] == pytest.approx(100 * card["default_rate"], abs=1e-12)
        assert like(world.query, card["customer_id"], "All")["members"] == everybody
    assert like(world.query, cards[0]["customer_id"])["members"] == 200


def test_codes_and_folds_come_back_from_the_database_as_they_were(
    world: World, trained: Trained, former: Applications
) -> None:
    order = np.argsort(former.customer_id)
    assert np.array_equal(world.similar.customer_id, former.customer_id[order])
    assert np.array_equal(world.similar.codes, trained.folds.codes[order])
    assert np.array_equal(world.similar.fold, trained.folds.fold[order])


@pytest.mark.parametrize(
    ("change", "failed"),
    [
        ("UPDATE {part} SET low = low + 0", []),
        (
            "DELETE FROM {part} WHERE customer_id % 2 = 0",
            ["similar_customers_told", "similar_lists_of_wrong_size", "similar_found_otherwise"],
        ),
        (
            "UPDATE {part} SET defaulted = neighbours - defaulted, default_rate = 1 - default_rate,"
            " low = 1 - high, high = 1 - low",
            ["similar_found_otherwise"],
        ),
        ("UPDATE {part} SET low = low * 0.99", ["similar_error"]),
        ("UPDATE {part} SET model_probability = 0.5", ["similar_error"]),
        (
            "DELETE FROM {members} WHERE customer_id % 2 = 0",
            ["similar_lists_of_wrong_size", "similar_found_otherwise"],
        ),
        ("UPDATE {members} SET members = members[2:]", ["similar_lists_of_wrong_size", "similar_found_otherwise"]),
        ("UPDATE {members} SET members[1] = 1", ["similar_found_otherwise"]),
    ],
)  # fmt: skip
def test_the_audit_finds_what_was_changed(world: World, change: str, failed: list[str]) -> None:
    assert world.failing(change) == failed


def test_customers_in_another_order_have_the_same_neighbours(world: World) -> None:
    chunk = world.chunks[0]
    order = np.random.default_rng(4).permutation(len(chunk.applications))
    told, turned = (world.similar.neighbourhoods(each).outcomes for each in (chunk, chunk.take(order)))
    assert np.array_equal(told.defaulted[order], turned.defaulted)
    assert np.array_equal(told.distance[order], turned.distance)


def test_the_sentence_and_the_card_say_the_stored_numbers(world: World) -> None:
    row = world.query.one("SELECT * FROM reporting.similar_customers ORDER BY customer_id LIMIT 1")
    assert row["low"] <= row["default_rate"] <= row["high"] <= 1
    said = f"Of the {row['neighbours']} former customers most like this one, {row['defaulted']} ("
    assert row["text_en"].startswith(said) and f"{100 * row['default_rate']:.1f}%" in row["text_en"]
    assert row["text_fr"].startswith(f"Parmi les {row['neighbours']} anciens clients")
    card = world.query.one(
        "SELECT * FROM reporting.customer_similar WHERE customer_id = :customer", customer=row["customer_id"]
    )
    assert card["similar_html_en"].startswith(row["text_en"]) and "◆" in card["similar_html_en"]
    assert card["similar_html_fr"].startswith(row["text_fr"]) and "La moitié centrale" in card["similar_html_fr"]


def test_a_bundle_of_before_the_folds_were_kept_is_read_and_compares_nobody(
    world: World, trained: Trained, caplog: pytest.LogCaptureFixture
) -> None:
    artefact = replace(trained.bundle, fold_boosters=()).to_bytes()
    assert b"fold_boosters" not in artefact
    old = ModelBundle.from_bytes(artefact, digest(artefact))
    assert run_similar(world.engine, world.model_id, old) is None
    assert "until `creditlens train`" in caplog.text
    checks = audit_similar(world.engine, world.run_id, customers=0, again=[])
    assert [check.name for check in checks if not check.passed] == ["similar_customers_told"]


def test_who_is_erased_is_in_no_neighbourhood_and_has_no_codes(
    new_database: Callable[[], Engine], trained: Trained, former: Applications, new_frame: pl.DataFrame
) -> None:
    engine = new_database()
    query = Query(engine)
    model_id = load_model(engine, trained, former)
    applications = checked(new_frame)
    _, chunks = publish_night(engine, model_id, trained, applications, date(2026, 3, 1))
    before = run_similar(engine, model_id, trained.bundle)
    assert before is not None
    found = before.laid_out.nearest(before._explained(chunks[0].applications))
    erased = int(before.customer_id[found.rows[0, 0]])
    listed = "SELECT count(*) AS n FROM credit.similar_member WHERE :his = ANY (members)"
    assert 0 < query.one(listed, his=erased)["n"] == rows.find(engine, erased)["credit.similar_member"]
    one = int(chunks[0].applications.customer_id[0])
    assert like(query, one)["members"] == 200
    removed = rows.erase(engine, erased, describe=describe_former)
    assert removed["similar_customer"] == removed["similar_member"] == len(applications)
    assert removed["cohort_place"] == 1
    assert rows.find(engine, erased) == {}
    assert query("SELECT * FROM credit.similar_member") == []
    # Of a night that does not know who is like a customer, nobody is, and all are all but him.
    assert like(query, one)["members"] is None
    assert like(query, one, "All")["members"] == len(former) - 1
    assert removed["former_code"] == 1
    # What was told with him in it is told no more, and the view says so.
    assert query("SELECT * FROM credit.similar_customer") == []
    told = query.one("SELECT * FROM reporting.similar_customers LIMIT 1")
    assert told["neighbours"] is None and told["text_en"].startswith("This run does not say")
    assert query.one("SELECT count(*) AS n FROM credit.former_code WHERE customer_id = :his", his=erased)["n"] == 0
    after = run_similar(engine, model_id, trained.bundle)
    assert after is not None
    again = after.laid_out.nearest(after._explained(chunks[0].applications))
    assert erased not in after.customer_id[again.rows]
    assert to_log_odds(again.distance[:1])[0, -1] >= to_log_odds(found.distance[:1])[0, -1]
    # The next night counts without him.
    publish_night(engine, model_id, trained, applications, date(2026, 3, 2))
    assert query.one("SELECT count(*) AS n FROM credit.similar_customer")["n"] == len(applications)
    assert query.one(listed, his=erased)["n"] == 0
    card = query.one("SELECT * FROM reporting.similar_customers WHERE customer_id = :one", one=one)
    assert (card["neighbours"], card["defaulted"]) == tuple(
        like(query, one)[name] for name in ("members", "defaulted")
    )


@pytest.mark.parametrize("table", ["similar_member", "similar_customer"])
def test_no_statistics_of_the_planner_hold_who_is_like_whom_or_whose_rows_an_erasure_takes(
    world: World, table: str
) -> None:
    """Of a table that an erasure empties, Postgres 15 to 17 keep the samples."""
    with world.engine.begin() as connection:
        connection.execute(text(f"ANALYZE credit.{table}_r{world.run_id:08d}"))
    sampled = world.query(f"SELECT attname FROM pg_stats WHERE tablename = '{table}_r{world.run_id:08d}'")
    assert "run_id" in {row["attname"] for row in sampled}
    assert not {row["attname"] for row in sampled} & {"customer_id", "members"}


def test_a_persons_copy_has_what_was_told_and_what_others_are_compared_with(world: World, trained: Trained) -> None:
    customer = int(world.chunks[0].applications.customer_id[0])
    (told,) = copy.everything(world.engine, customer)["similar"]
    assert told.pop("neighbours_are_kept") is True
    kept = world.query.one("SELECT * FROM credit.similar_customer WHERE customer_id = :customer", customer=customer)
    assert {name: kept[name] for name in told if name != "as_of"} == {
        name: value for name, value in told.items() if name != "as_of"
    }
    one = int(world.similar.customer_id[0])
    lines = copy.everything(world.engine, one)["codes"]
    names = [feature.name for feature in explained_features()]
    assert [line["column_name"] for line in lines] == names
    assert [line["contribution"] for line in lines] == to_log_odds(world.similar.codes[0]).tolist()  # type: ignore[arg-type]
    # The number of a place says how many of the same outcome stand before it.
    amount = "SELECT amt_credit, target FROM credit.former_customer WHERE customer_id = :one"
    between = world.query.one(
        f"SELECT count(*) FILTER (WHERE f.amt_credit < h.amt_credit) AS before,"
        f" count(*) FILTER (WHERE f.amt_credit <= h.amt_credit) AS last"
        f" FROM credit.former_customer AS f JOIN ({amount}) AS h ON f.target = h.target", one=one,
    )  # fmt: skip
    (place,) = (line["place_among_former"] for line in lines if line["column_name"] == "AMT_CREDIT")
    assert between["before"] < place <= between["last"]


def test_with_fewer_than_twenty_former_customers_nothing_is_told(
    new_database: Callable[[], Engine], trained: Trained, former: Applications, new_frame: pl.DataFrame
) -> None:
    engine = new_database()
    model_id = load_model(engine, trained, former)
    with engine.begin() as connection:
        connection.execute(
            text("DELETE FROM credit.former_code WHERE customer_id > (SELECT max(x.customer_id) FROM (SELECT"
                 " customer_id FROM credit.former_code ORDER BY customer_id LIMIT 19) AS x)")
        )  # fmt: skip
    assert run_similar(engine, model_id, trained.bundle) is None
    publish_night(engine, model_id, trained, checked(new_frame), date(2026, 3, 1))
    assert Query(engine)("SELECT * FROM reporting.similar_customers WHERE neighbours IS NOT NULL") == []
