"""Cohorts are written as bit strings with their model, and go with its former customers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine, text

from db import cohort, registry
from db.cohort import Bits, CohortRows, PlaceRows
from db.engine import driver, transaction
from db.runs import ledger as run_ledger
from tests.db import ledger

TABLES = ("cohort_option", "cohort_member", "cohort_feature", "cohort_slice", "cohort_bin", "cohort_place")


def rows() -> CohortRows:
    """Ten people who repaid, nobody who defaulted, one feature of one digit."""
    option = {"label_en": "All", "label_fr": "Tous", "value": None, "repaid": 10, "defaulted": 0}
    bar = {"bin": 1, "first_code": 0, "last_code": 1, "lower": None, "upper": None, "label_en": "All"}
    counts = {"label_fr": "Tous", "repaid_before": 0, "repaid": 10, "defaulted_before": 0, "defaulted": 0}
    return CohortRows(
        customer_id=np.arange(101, 111, dtype=np.int32),
        target=np.zeros(10, np.int8),
        options=[{"attribute": "gender", "code": 0, **option}],
        features=[{"feature_id": 0, "ord": 1, "origin": 0.0, "per_unit": 1.0, "bits": 1, "exact": True}],
        places=iter(
            [
                PlaceRows(
                    bins=[{"feature_id": 0, **bar, **counts}],
                    members=[(0, 0, "gender", 1, Bits(b"\xa0\x40", 10)), (0, 1, "gender", 1, Bits(b"", 0))],
                    slices=[(0, 0, 0, Bits(b"\xff\xc0", 10)), (0, 0, 1, Bits(b"\x0f\xc0", 10))],
                    standing=np.arange(10, 0, -1, dtype=np.int32),
                )
            ]
        ),
    )


def promote(engine: Engine, name: str, cohorts: CohortRows | None) -> int:
    model_id = ledger.new_model(engine, name)
    with registry.former_customers(engine, model_id) as tables:
        tables.index()
    distribution: dict[str, Any] = {"feature_id": 1, "outcome": "all", "customers": 0, "missing": 0}
    category = {"feature_id": 2, "category_code": 1, "customers": 0, "defaulted": 0}
    registry.promote(engine, model_id, distributions=[distribution], categories=[category], cohorts=cohorts)
    return model_id


def counted(engine: Engine, model_id: int) -> list[int]:
    with engine.connect() as connection:
        found = [
            connection.scalar(text(f"SELECT count(*) FROM credit.{table} WHERE model_id = :id"), {"id": model_id})
            for table in TABLES
        ]
    return [int(number or 0) for number in found]


def test_bits_are_stored_in_their_order_and_length_and_go_with_the_model(engine: Engine) -> None:
    first = promote(engine, "a", rows())
    with engine.connect() as connection:
        bits = connection.execute(text("SELECT bits::text FROM credit.cohort_slice ORDER BY slice")).scalars().all()
        members = connection.execute(
            text("SELECT members::text FROM credit.cohort_member ORDER BY target")
        ).scalars()
        assert bits == ["1111111111", "0000111111"]
        assert members.all() == ["1010000001", ""]
        assert cohort.known(connection, first)
        assert not cohort.known(connection, first + 1)
    assert counted(engine, first) == [1, 2, 1, 2, 1, 10]

    second = promote(engine, "b", rows())
    assert counted(engine, first) == counted(engine, second)
    # No run uses the first model, and it is not the current one.
    run_ledger.retire(engine, retained_runs=2)
    assert counted(engine, first) == [0] * len(TABLES)
    assert counted(engine, second) == [1, 2, 1, 2, 1, 10]


def test_a_model_from_before_cohorts_gets_them_when_it_is_promoted_again(engine: Engine) -> None:
    model_id = promote(engine, "c", None)
    assert counted(engine, model_id) == [0] * len(TABLES)
    registry.promote(engine, model_id, distributions=[], categories=[], cohorts=rows())
    registry.promote(engine, model_id, distributions=[], categories=[], cohorts=rows())
    assert counted(engine, model_id) == [1, 2, 1, 2, 1, 10]


def test_everybody_stands_where_the_rows_say(engine: Engine) -> None:
    model_id = promote(engine, "e", rows())
    with engine.connect() as connection:
        standing = connection.execute(
            text("SELECT customer_id, target, places FROM credit.cohort_place WHERE model_id = :id ORDER BY 1"),
            {"id": model_id},
        ).all()
    assert [tuple(row) for row in standing] == [(101 + n, 0, [10 - n]) for n in range(10)]


def test_cohorts_of_before_it_was_known_where_everybody_stands_are_made_anew(engine: Engine) -> None:
    model_id = promote(engine, "f", rows())
    with transaction(engine) as connection:
        connection.execute(text("DELETE FROM credit.cohort_place WHERE model_id = :id"), {"id": model_id})
        assert cohort.known(connection, model_id) and not cohort.complete(connection, model_id)
    registry.promote(engine, model_id, distributions=[], categories=[], cohorts=rows())
    assert counted(engine, model_id) == [1, 2, 1, 2, 1, 10]


def test_what_cannot_be_written_leaves_nothing(engine: Engine) -> None:
    bad = rows()
    broken = replace(bad, features=[{**bad.features[0], "bits": 40}])
    model_id = ledger.new_model(engine, "d")
    with pytest.raises(Exception, match="bits_range"), transaction(engine) as connection:
        cohort.load(connection, driver(connection), model_id, broken)
    assert counted(engine, model_id) == [0] * len(TABLES)
