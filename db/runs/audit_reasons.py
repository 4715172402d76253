"""The audit of a run's reasons: each is worked out anew from what is kept, before anybody sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from psycopg import Connection, sql
from sqlalchemy import Engine

from db.engine import connect
from db.models import SCHEMA, partition_name, reason, score, shap_value
from db.runs.audit import at_most, equal
from db.runs.ledger import Check

TOLERANCE = 1e-6
# Of those who are not accepted. With more, the model rests on what may not be told.
UNTOLD_SHARE = 0.05
UNTOLD = "no_reason_to_tell_share"

# Materialised, so that a mean is looked up once a feature and not once a contribution; OFFSET 0, so that most
# contributions are left out before anything is joined with them.
_REASONS = """
WITH counting AS MATERIALIZED (
    SELECT f.feature_id, t.code, (r.mean_contributions ->> f.name)::float8 AS mean
    FROM credit.reason_text AS t
    JOIN credit.feature AS f ON f.feature_id = ANY(t.feature_ids)
    JOIN credit.policy_feature AS p ON p.feature_id = f.feature_id AND p.policy_id = %(policy_id)s AND p.may_be_told
    JOIN credit.reason_reference AS r ON r.model_id = %(model_id)s AND r.policy_id = %(policy_id)s
    WHERE t.catalogue_id = %(catalogue_id)s AND t.refusal_en IS NOT NULL
), not_accepted AS (
    SELECT s.customer_id, 100 * (1 - s.default_probability) AS exact_score, s.log_odds
    FROM {score} AS s WHERE s.decision <> 'accept'
), anew AS (
    SELECT v.customer_id, c.code, sum(v.contribution::float8 - c.mean) AS log_odds
    FROM (
        SELECT feature_id, customer_id, contribution FROM {shap_value}
        WHERE customer_id IN (SELECT n.customer_id FROM not_accepted AS n) OFFSET 0
    ) AS v
    JOIN counting AS c ON c.feature_id = v.feature_id
    GROUP BY v.customer_id, c.code
), told AS (
    -- The least that a reason that was not told may not exceed.
    SELECT customer_id, bool_or(place = 1) AS has_first, count(*) = max(place) AS without_gap,
           count(*) - count(log_odds) AS untold,
           CASE WHEN count(log_odds) < %(most)s THEN %(smallest)s ELSE min(log_odds) END AS least
    FROM {reason} GROUP BY customer_id
), compared AS (
    SELECT r.customer_id, r.log_odds, r.points, a.log_odds AS again, r.log_odds IS NOT NULL AS is_told,
           a.log_odds * CASE
               WHEN abs(n.log_odds - %(base_value)s) < 1e-9 THEN -b.exact_score * (100 - b.exact_score) / 100
               ELSE (n.exact_score - b.exact_score) / (n.log_odds - %(base_value)s)
           END AS points_again
    FROM {reason} AS r
    JOIN not_accepted AS n ON n.customer_id = r.customer_id
    CROSS JOIN (SELECT 100 * (1 - 1 / (1 + exp(-%(base_value)s::float8))) AS exact_score) AS b
    LEFT JOIN anew AS a ON a.customer_id = r.customer_id AND a.code = r.code
)
SELECT
    (SELECT count(*) FROM not_accepted),
    (SELECT count(*) FROM not_accepted AS n JOIN told AS t USING (customer_id) WHERE t.has_first AND t.without_gap),
    (SELECT count(*) FROM told AS t WHERE NOT EXISTS (
        SELECT FROM not_accepted AS n WHERE n.customer_id = t.customer_id
    )),
    (SELECT count(*) FROM compared WHERE is_told AND again IS NULL),
    (SELECT coalesce(max(greatest(abs(log_odds - again), abs(points - points_again))), 0) FROM compared
     WHERE is_told),
    (SELECT count(*) FROM anew AS a JOIN told AS t USING (customer_id)
     WHERE a.log_odds > t.least + %(tolerance)s AND NOT EXISTS (
        SELECT FROM {reason} AS r WHERE r.customer_id = a.customer_id AND r.code = a.code
    )),
    (SELECT coalesce(sum(untold), 0) FROM told)
"""


@dataclass(frozen=True, slots=True)
class ReasonsOfRun:
    """What the reasons of a run rest on.

    Attributes
    ----------
    model_id, policy_id: whose reference it is.
    base_value: the model's expected log-odds of default.
    most: how many reasons a customer has at most; smallest: what is less, in log-odds, is no reason.
    """

    model_id: int
    policy_id: int
    catalogue_id: int
    base_value: float
    most: int
    smallest: float


def audit_reasons(engine: Engine, run_id: int, basis: ReasonsOfRun) -> list[Check]:
    """Check that those who are not accepted, and nobody else, have the reasons that the kept numbers give."""
    tables = {
        table.name: sql.Identifier(SCHEMA, partition_name(table, run_id)) for table in (score, shap_value, reason)
    }
    parameters = {name: getattr(basis, name) for name in ReasonsOfRun.__dataclass_fields__}
    parameters["tolerance"] = TOLERANCE
    with connect(engine) as connection:
        driver: Connection[Any] = connection.connection.driver_connection  # type: ignore[assignment]
        driver.execute("SET LOCAL work_mem = '128MB'")
        row = driver.execute(sql.SQL(_REASONS).format(**tables), parameters).fetchone()
    assert row is not None
    not_accepted, with_reasons, of_others, unknown, error, left_out, untold = row
    share = int(untold) / not_accepted if not_accepted else 0.0
    return [
        equal("not_accepted_with_reasons", with_reasons, not_accepted),
        equal("reasons_of_others", of_others, 0),
        equal("reasons_of_nothing_kept", unknown, 0),
        equal("stronger_reasons_left_out", left_out, 0),
        at_most("reason_error", error, TOLERANCE),
        Check(UNTOLD, "warn", f"{share:.1%}", f"at most {UNTOLD_SHARE:.0%}", share <= UNTOLD_SHARE),
    ]
