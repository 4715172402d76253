"""Constraints hold against bad rows, and the columns are those of the feature dictionary."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError

from db.application import APPLICATION_COLUMNS
from scoring.features import input_features

BAD_ROWS = {
    "infinite log-odds": "INSERT INTO credit.score VALUES (1, 1, 'Infinity', 1, 0, 'E', 'decline', 0)",
    "log-odds that are not a number": "INSERT INTO credit.score VALUES (1, 1, 'NaN', 1, 0, 'E', 'decline', 0)",
    "a probability over 1": "INSERT INTO credit.score VALUES (1, 1, 0, 1.1, 0, 'E', 'decline', 0)",
    "a probability that is not a number": "INSERT INTO credit.score VALUES (1, 1, 0, 'NaN', 0, 'E', 'decline', 0)",
    "a score over 100": "INSERT INTO credit.score VALUES (1, 1, 0, 0.5, 101, 'A', 'accept', 0)",
    "an unknown run status": "INSERT INTO credit.scoring_run (as_of, model_id, source_name, source_sha256, status,"
    " policy_id) VALUES (now(), 1, 'x', 'x', 'done', 1)",
    "a second pointer": "INSERT INTO credit.published_run VALUES (false, 1)",
    "a fifth reason": "INSERT INTO credit.reason VALUES (1, 1, 5, 'R01', 1, 1, 0.5, -1)",
    "a reason that speaks for a customer": "INSERT INTO credit.reason VALUES (1, 1, 1, 'R01', 1, 1, -0.5, 1)",
    "a reason that is not a number": "INSERT INTO credit.reason VALUES (1, 1, 1, 'R01', 1, 1, 'NaN', -1)",
    "a reason of half a number": "INSERT INTO credit.reason VALUES (1, 1, 1, 'R01', 1, NULL, 0.5, -1)",
    "an offer of nothing": "INSERT INTO credit.what_if VALUES (1, 1, 9, 0, 1, 0.1, 90, 'accept', true, true, true)",
    "an offer found without one": "INSERT INTO credit.what_if_summary VALUES (1, 1, 'found')",
    "a reason told in one language": "INSERT INTO credit.reason_text (catalogue_id, code, feature_ids, refusal_en)"
    " VALUES (1, 'R01', '{1}', 'Why.')",
    "similar customers of a group under 20": "INSERT INTO credit.similar_customer (run_id, customer_id, neighbours,"
    " defaulted, default_rate, low, high, model_probability, distance) VALUES (1, 1, 19, 1, 0.05, 0, 0.2, 0.1, 1)",
    "a rate outside of its interval": "INSERT INTO credit.similar_customer (run_id, customer_id, neighbours,"
    " defaulted, default_rate, low, high, model_probability, distance) VALUES (1, 1, 20, 2, 0.1, 0.2, 0.3, 0.1, 1)",
    "more who defaulted than there are": "INSERT INTO credit.similar_customer (run_id, customer_id, neighbours,"
    " defaulted, default_rate, low, high, model_probability, distance) VALUES (1, 1, 20, 21, 1, 0.9, 1, 0.1, 1)",
    "a list of similar customers under 20": "INSERT INTO credit.similar_member"
    " SELECT 1, 1, array_agg(n) FROM generate_series(1, 19) AS n",
    "a refusal with terms": "INSERT INTO credit.decision (customer_id, run_id, model_id, policy_id, recommendation,"
    " default_probability, score, band, reasons, decision, amount, duration, reason_code, note, decided_by)"
    " VALUES (1, 1, 1, 1, 'accept', 0.1, 90, 'A', '{}', 'refuse', 5, 6, 'other', '', 'ann')",
    "a review without a word": "INSERT INTO credit.review (customer_id, decision_id, point_of_view, recorded_by,"
    " due_at, four_eyes) VALUES (1, 1, '', 'ann', now() + interval '1 day', true)",
    "a change without a decision": "INSERT INTO credit.review_conclusion VALUES (1, 1, 'changed', 'So.', 'ann')",
    "an outcome that is none": "INSERT INTO credit.former_customer (model_id, customer_id, target, log_odds,"
    " default_probability, score) VALUES (1, 1, 2, 0, 0.5, 50)",
}


@pytest.mark.parametrize("statement", BAD_ROWS.values(), ids=BAD_ROWS.keys())
def test_the_database_refuses(engine: Engine, statement: str) -> None:
    with engine.connect() as connection, connection.begin() as work:
        of_runs = ("score", "reason", "what_if", "what_if_summary", "similar_customer", "similar_member")
        for table, column in (*((table, "run_id") for table in of_runs), ("former_customer", "model_id")):
            connection.execute(text(f"CREATE TABLE credit.p_{table} PARTITION OF credit.{table} FOR VALUES IN (1)"))
            assert column
        with pytest.raises(IntegrityError):
            connection.execute(text(statement))
        work.rollback()


def test_application_columns_are_the_dictionarys_in_the_same_order() -> None:
    assert [name for name, _ in APPLICATION_COLUMNS] == [feature.name.lower() for feature in input_features()]


def test_every_allowed_number_fits_its_column() -> None:
    limits = {"SmallInteger": 2**15 - 1, "Integer": 2**31 - 1, "Double": float("inf")}
    for (name, kind), feature in zip(APPLICATION_COLUMNS, input_features(), strict=True):
        largest = max(
            abs(bound) for bound in (feature.minimum, feature.maximum, feature.missing_code, 0) if bound is not None
        )
        assert largest <= limits[kind.__name__], name
