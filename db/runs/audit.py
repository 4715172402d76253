"""The audit of a written run: what is in its tables is compared with what should be, before anybody sees it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from psycopg import Connection, sql
from sqlalchemy import Engine

from db.engine import connect
from db.errors import AuditFailedError
from db.models import SCHEMA, new_customer, partition_name, score, shap_value
from db.runs.ledger import Check

# Contributions are stored in single precision: half a unit in the last place of about 128 of them.
ADDITIVITY_TOLERANCE = 1e-4
PROBABILITY_TOLERANCE = 1e-9

_SCORES = """
SELECT count(*) AS scores,
       count(*) FILTER (WHERE NOT (log_odds > '-Infinity' AND log_odds < 'Infinity')) AS not_finite,
       count(*) FILTER (
           WHERE NOT default_probability BETWEEN 0 AND 1 OR NOT score BETWEEN 0 AND 100
       ) AS out_of_range,
       coalesce(max(abs(default_probability - 1 / (1 + exp(-log_odds)))), 0) AS probability_error,
       count(*) FILTER (WHERE abs(score - 100 * (1 - default_probability)) > 0.5 + 1e-9) AS wrong_scores
FROM {score}
"""

_CONTRIBUTIONS = """
WITH per_customer AS (
    SELECT customer_id, sum(contribution::float8) AS total, count(*) AS features, sum(feature_id) AS feature_ids,
           bool_and(contribution > '-Infinity' AND contribution < 'Infinity') AS finite
    FROM {shap_value} GROUP BY customer_id
)
SELECT count(*) AS explained,
       count(s.customer_id) AS explained_and_scored,
       count(*) FILTER (WHERE features <> %(features)s OR feature_ids <> %(feature_ids)s) AS incomplete,
       count(*) FILTER (WHERE NOT finite) AS not_finite,
       coalesce(max(abs(%(base_value)s + total - s.log_odds)), 0) AS additivity_error
FROM per_customer LEFT JOIN {score} s USING (customer_id)
"""

_APPLICATIONS = """
SELECT count(*), count(s.customer_id) FROM {new_customer} LEFT JOIN {score} s USING (customer_id)
"""


def audit(
    engine: Engine, run_id: int, *, customers: int, feature_ids: Sequence[int], base_value: float
) -> list[Check]:
    """Check the run's tables against each other and against what was computed.

    Parameters
    ----------
    customers: applications that were accepted and scored.
    feature_ids: the features of which each customer must have exactly one contribution.
    base_value: the model's expected log-odds of default.
    """
    tables = {
        table.name: sql.Identifier(SCHEMA, partition_name(table, run_id))
        for table in (score, shap_value, new_customer)
    }
    parameters = {"features": len(feature_ids), "feature_ids": sum(feature_ids), "base_value": base_value}
    with connect(engine) as connection:
        driver: Connection[Any] = connection.connection.driver_connection  # type: ignore[assignment]
        driver.execute("SET LOCAL work_mem = '128MB'")
        scores, score_not_finite, out_of_range, probability_error, wrong_scores = _one(driver, _SCORES, tables)
        explained, matched, incomplete, not_finite, additivity_error = _one(
            driver, _CONTRIBUTIONS, tables, parameters
        )
        applications, applications_scored = _one(driver, _APPLICATIONS, tables)
    return [
        equal("applications_loaded", applications, customers),
        equal("applications_scored", applications_scored, customers),
        equal("scores_loaded", scores, customers),
        equal("customers_explained", min(explained, matched), customers),
        equal("explanations_incomplete", incomplete, 0),
        equal("scores_not_finite", score_not_finite, 0),
        equal("scores_out_of_range", out_of_range, 0),
        equal("scores_not_of_their_probability", wrong_scores, 0),
        equal("contributions_not_finite", not_finite, 0),
        at_most("probability_error", probability_error, PROBABILITY_TOLERANCE),
        at_most("additivity_error", additivity_error, ADDITIVITY_TOLERANCE),
    ]


def require_passed(checks: Sequence[Check]) -> None:
    """Raise AuditFailedError naming each failed check of severity "fail", what was seen and what was due."""
    failed = [check for check in checks if not check.passed and check.severity == "fail"]
    if failed:
        said = "; ".join(f"{check.name} is {check.observed}, expected {check.expected}" for check in failed)
        raise AuditFailedError(f"The audit failed, nothing was published: {said}.")


def _one(
    driver: Connection[Any],
    query: str,
    tables: dict[str, sql.Identifier],
    parameters: Mapping[str, Any] | None = None,
) -> tuple[Any, ...]:
    row = driver.execute(sql.SQL(query).format(**tables), parameters).fetchone()
    assert row is not None
    return tuple(row)


def equal(name: str, observed: int, expected: int) -> Check:
    """A check that fails the run if there are not as many as there should be."""
    return Check(name, "fail", str(observed), str(expected), observed == expected)


def at_most(name: str, observed: float, limit: float) -> Check:
    """A check that fails the run if `observed` is over `limit`, or not a number."""
    return Check(name, "fail", f"{observed:.3g}", f"at most {limit:g}", observed <= limit)
