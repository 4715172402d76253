"""Similar former customers as a night keeps them: found by plain comparison too, and never one who is erased."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import NamedTuple

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
        part = f"credit.similar_customer_r{self.run_id:08d}"
        with self.engine.begin() as connection:
            connection.execute(text(f"CREATE TABLE credit.before AS SELECT * FROM {part}"))
            connection.execute(text(change.format(part=part)))
        try:
            again = compared_again(self.similar, self.chunks)
            checks = audit_similar(self.engine, self.run_id, customers=self.customers, again=again)
            return [check.name for check in checks if not check.passed]
        finally:
            with self.engine.begin() as connection:
                connection.execute(text(f"DELETE FROM {part}"))
                connection.execute(text(f"INSERT INTO {part} SELECT * FROM credit.before"))
                connection.execute(text("DROP TABLE credit.before"))


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
    kept = world.query("SELECT * FROM credit.similar_customer ORDER BY customer_id")
    plain = sorted(
        (each for chunk in world.chunks for each in world.similar.plainly(chunk)), key=lambda each: each.customer_id
    )
    assert len(kept) == world.customers
    for row, each in zip(kept, plain, strict=True):
        assert (row["customer_id"], row["neighbours"], row["defaulted"], row["distance"]) == (
            each.customer_id, each.neighbours, each.defaulted, each.distance,
        )  # fmt: skip
        assert row["default_rate"] == each.defaulted / each.neighbours


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
        ("DELETE FROM {part} WHERE customer_id % 2 = 0", ["similar_customers_told", "similar_found_otherwise"]),
        (
            "UPDATE {part} SET defaulted = neighbours - defaulted, default_rate = 1 - default_rate,"
            " low = 1 - high, high = 1 - low",
            ["similar_found_otherwise"],
        ),
        ("UPDATE {part} SET low = low * 0.99", ["similar_error"]),
        ("UPDATE {part} SET model_probability = 0.5", ["similar_error"]),
    ],
)  # fmt: skip
def test_the_audit_finds_what_was_changed(world: World, change: str, failed: list[str]) -> None:
    assert world.failing(change) == failed


def test_customers_in_another_order_have_the_same_neighbours(world: World) -> None:
    chunk = world.chunks[0]
    order = np.random.default_rng(4).permutation(len(chunk.applications))
    told, turned = world.similar.outcomes(chunk), world.similar.outcomes(chunk.take(order))
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
    removed = rows.erase(engine, erased, describe=describe_former)
    assert removed["similar_customer"] == len(applications)
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


def test_a_persons_copy_has_what_was_told_and_what_others_are_compared_with(world: World, trained: Trained) -> None:
    customer = int(world.chunks[0].applications.customer_id[0])
    (told,) = copy.everything(world.engine, customer)["similar"]
    kept = world.query.one("SELECT * FROM credit.similar_customer WHERE customer_id = :customer", customer=customer)
    assert {name: kept[name] for name in told if name != "as_of"} == {
        name: value for name, value in told.items() if name != "as_of"
    }
    one = int(world.similar.customer_id[0])
    lines = copy.everything(world.engine, one)["codes"]
    names = [feature.name for feature in explained_features()]
    assert [line["column_name"] for line in lines] == names
    assert [line["contribution"] for line in lines] == to_log_odds(world.similar.codes[0]).tolist()  # type: ignore[arg-type]


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
