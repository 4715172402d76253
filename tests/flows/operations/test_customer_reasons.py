"""Reasons when somebody asks: those recorded for who is not accepted, the same rules for who is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from typing import NamedTuple

import numpy as np
import polars as pl
import pytest
from sqlalchemy import Engine

from db.errors import RefusedError
from flows.operations.customer_reasons import CustomerReasons, customer_reasons
from flows.steps.run_reasons import run_reasons
from scoring.batch import Scored
from scoring.contract import Applications
from scoring.preprocess import explained_features
from scoring.reason_catalogue import reason_catalogue
from scoring.reasons import reasons
from scoring.training import Trained
from tests.migrations.nights import Query, checked, load_model, publish_night, put_strict_policy_in_force


class World(NamedTuple):
    engine: Engine
    query: Query
    trained: Trained
    chunks: Sequence[Scored]

    def asked(self, decision: str) -> list[tuple[int, CustomerReasons]]:
        rows = self.query(
            "SELECT customer_id FROM reporting.customer WHERE decision = :decision ORDER BY 1 LIMIT 20",
            decision=decision,
        )
        return [(row["customer_id"], customer_reasons(self.engine, row["customer_id"])) for row in rows]


@pytest.fixture(scope="module")
def world(
    new_database: Callable[[], Engine], trained: Trained, former: Applications, new_frame: pl.DataFrame
) -> World:
    engine = new_database()
    model_id = load_model(engine, trained, former)
    decide = put_strict_policy_in_force(engine)
    _, chunks = publish_night(engine, model_id, trained, checked(new_frame), date(2026, 3, 1), decide)
    return World(engine, Query(engine), trained, chunks)


@pytest.mark.parametrize("decision", ["decline", "review"])
def test_who_is_not_accepted_is_told_the_records(world: World, decision: str) -> None:
    asked = world.asked(decision)
    assert asked
    for customer_id, found in asked:
        records = world.query(
            "SELECT place, reason_code, advisor_en, advisor_fr, action_en, action_fr, feature, score_points"
            " FROM reporting.decision_reason WHERE customer_id = :id ORDER BY place",
            id=customer_id,
        )
        assert (found.decision, found.is_recorded) == (decision, True)
        assert list(found.lines) == records != []


def test_who_is_accepted_is_told_what_the_same_rules_find(world: World) -> None:
    policy = put_strict_policy_in_force(world.engine)
    rules = run_reasons(world.engine, 1, world.trained.bundle, policy).rules
    names = [feature.name for feature in explained_features()]
    told = 0
    for customer_id, found in world.asked("accept"):
        assert not found.is_recorded
        (chunk,) = (one for one in world.chunks if customer_id in one.applications.customer_id)
        row = chunk.applications.customer_id.tolist().index(customer_id)
        expected = reasons(
            rules,
            chunk.contributions[[row]],
            chunk.log_odds[[row]],
            world.trained.bundle.base_value,
            np.array([2], dtype=np.intp),
        )
        catalogue = reason_catalogue().reasons
        assert [(line["place"], line["reason_code"]) for line in found.lines] == [
            (place, catalogue[position].code)
            for place, position in zip(expected.place, expected.reason, strict=True)
        ]
        for line, feature, points in zip(found.lines, expected.feature, expected.points, strict=True):
            if feature >= 0:
                assert line["feature"] == names[feature]
                assert line["score_points"] == pytest.approx(points, abs=1e-5)
                told += 1
            else:
                assert (line["reason_code"], line["feature"], line["score_points"]) == ("R00", None, None)
    assert told


def test_an_unknown_customer_is_refused(world: World) -> None:
    with pytest.raises(RefusedError, match=r"^Customer 7 is not in the published run\.$"):
        customer_reasons(world.engine, 7)


def test_a_run_of_before_is_refused_in_one_sentence(
    new_database: Callable[[], Engine], trained: Trained, former: Applications, new_frame: pl.DataFrame
) -> None:
    engine = new_database()
    model_id = load_model(engine, trained, former)
    publish_night(engine, model_id, trained, checked(new_frame), date(2026, 3, 1))
    rows = Query(engine)("SELECT DISTINCT ON (decision) customer_id FROM credit.score")
    assert len(rows) > 1
    for row in rows:
        with pytest.raises(RefusedError, match=r"^Run 1 kept no reasons: .* The next night has them\.$"):
            customer_reasons(engine, row["customer_id"])
