"""What the database holds about one person, as the person is told: every row, in codes and in words."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.rows import dict_row
from sqlalchemy import Engine

from db.engine import connect, driver
from db.people.rows import HIS_REJECTED, parameters

# Categories and flags are held as codes; words, units and digits are the dictionary's.
_IN_WORDS = """
    f.name AS column_name, f.label_en, f.label_fr, f.description_en, f.description_fr,
    CASE WHEN f.kind IN ('category', 'flag') THEN reporting.category_en({code}, k.label_en)
         ELSE reporting.quantity_en({number} * f.display_scale, f.display_decimals, f.unit_en) END AS value_en,
    CASE WHEN f.kind IN ('category', 'flag') THEN reporting.category_fr({code}, k.label_fr)
         ELSE reporting.quantity_fr({number} * f.display_scale, f.display_decimals, f.unit_fr) END AS value_fr,
    CASE WHEN f.kind IN ('category', 'flag') THEN k.value ELSE {number}::text END AS value
"""
_WIDE_IN_WORDS = _IN_WORDS.format(
    code="CASE WHEN f.kind IN ('category', 'flag') THEN e.value::numeric::smallint END",
    number="e.value::double precision",
)
_APPLICATION = f"""
    SELECT a.run_id, r.as_of, r.source_name, {_WIDE_IN_WORDS}
    FROM credit.new_customer AS a
    JOIN credit.scoring_run AS r ON r.run_id = a.run_id
    CROSS JOIN jsonb_each_text(to_jsonb(a)) AS e
    JOIN credit.feature AS f ON f.name = upper(e.key) AND f.kind <> 'id'
    LEFT JOIN credit.feature_category AS k
        ON k.feature_id = f.feature_id AND f.kind IN ('category', 'flag') AND k.code = e.value::numeric
    WHERE a.customer_id = %(id)s
    ORDER BY r.as_of, a.run_id, f.feature_id
"""
_FORMER = f"""
    SELECT a.model_id, m.trained_at, a.target, a.score, a.default_probability, a.log_odds, {_WIDE_IN_WORDS}
    FROM credit.former_customer AS a
    JOIN credit.model_version AS m ON m.model_id = a.model_id
    CROSS JOIN jsonb_each_text(to_jsonb(a)) AS e
    JOIN credit.feature AS f ON f.name = upper(e.key) AND f.kind <> 'id'
    LEFT JOIN credit.feature_category AS k
        ON k.feature_id = f.feature_id AND f.kind IN ('category', 'flag') AND k.code = e.value::numeric
    WHERE a.customer_id = %(id)s
    ORDER BY a.model_id, f.feature_id
"""
_SCORES = """
    WITH every AS (
        SELECT customer_id, run_id, log_odds, default_probability, score, band, decision, percentile,
               true AS details_kept
        FROM credit.score
        UNION ALL
        SELECT customer_id, run_id, log_odds, default_probability, score, band, decision, percentile, false
        FROM credit.past_score
    )
    SELECT s.run_id, r.as_of, r.published_at, r.model_id, m.base_value, s.score, s.default_probability, s.log_odds,
           s.percentile, s.band, b.label_en AS band_en, b.label_fr AS band_fr, s.decision,
           d.label_en AS decision_en, d.label_fr AS decision_fr, s.details_kept
    FROM every AS s
    JOIN credit.scoring_run AS r ON r.run_id = s.run_id
    JOIN credit.model_version AS m ON m.model_id = r.model_id
    LEFT JOIN credit.score_band AS b ON b.policy_id = r.policy_id AND b.band = s.band
    LEFT JOIN credit.suggested_decision AS d ON d.decision = s.decision
    WHERE s.customer_id = %(id)s
    ORDER BY r.as_of, s.run_id
"""
_CONTRIBUTIONS = """
    SELECT v.run_id, r.as_of, {words}, v.contribution,
           v.contribution * reporting.points_per_log_odds(m.base_value, s.log_odds) AS score_points, v.rank,
           COALESCE(told.may_be_told, true) AS may_be_told
    FROM credit.shap_value AS v
    JOIN credit.score AS s ON s.run_id = v.run_id AND s.customer_id = v.customer_id
    JOIN credit.scoring_run AS r ON r.run_id = v.run_id
    JOIN credit.model_version AS m ON m.model_id = r.model_id
    JOIN credit.feature AS f ON f.feature_id = v.feature_id
    LEFT JOIN credit.feature_category AS k ON k.feature_id = v.feature_id AND k.code = v.category_code
    LEFT JOIN credit.policy_feature AS told
        ON told.policy_id = (SELECT max(newest.policy_id) FROM credit.policy AS newest)
        AND told.feature_id = v.feature_id
    WHERE v.customer_id = %(id)s
    ORDER BY r.as_of, v.run_id, v.rank
""".format(words=_IN_WORDS.format(code="v.category_code", number="v.numeric_value"))
_REASONS = """
    SELECT x.run_id, r.as_of, x.place, x.code, t.refusal_en AS reason_en, t.refusal_fr AS reason_fr,
           CASE WHEN NOT advice.is_void THEN t.action_en END AS action_en,
           CASE WHEN NOT advice.is_void THEN t.action_fr END AS action_fr,
           f.label_en, f.label_fr, x.points AS score_points, x.log_odds
    FROM credit.reason AS x
    JOIN credit.scoring_run AS r ON r.run_id = x.run_id
    JOIN credit.reason_text AS t ON t.catalogue_id = x.catalogue_id AND t.code = x.code
    LEFT JOIN credit.feature AS f ON f.feature_id = x.feature_id
    CROSS JOIN LATERAL (
        -- As in reporting.decision_reason.
        SELECT EXISTS (
            SELECT FROM credit.what_if_summary AS w
            WHERE w.run_id = x.run_id AND w.customer_id = x.customer_id AND w.outcome = 'none'
        ) AND EXISTS (
            SELECT FROM credit.feature AS m
            WHERE m.feature_id = ANY (t.feature_ids) AND m.name = ANY (reporting.moved_by_terms())
        ) AS is_void
    ) AS advice
    WHERE x.customer_id = %(id)s
    ORDER BY r.as_of, x.run_id, x.place
"""
_OFFERS = """
    SELECT w.run_id, r.as_of, w.outcome, w.asked_duration, w.monthly_rate, w.duration AS nearest_duration,
           w.amount AS nearest_amount, o.duration, o.amount, o.annuity, o.default_probability, o.score, o.decision,
           d.label_en AS decision_en, d.label_fr AS decision_fr, o.is_grid, o.is_frontier, o.is_asked
    FROM credit.what_if_summary AS w
    JOIN credit.scoring_run AS r ON r.run_id = w.run_id
    LEFT JOIN credit.what_if AS o ON o.run_id = w.run_id AND o.customer_id = w.customer_id
    LEFT JOIN credit.suggested_decision AS d ON d.decision = o.decision
    WHERE w.customer_id = %(id)s
    ORDER BY r.as_of, w.run_id, o.duration, o.amount
"""
_SIMILAR = """
    SELECT x.run_id, r.as_of, x.neighbours, x.defaulted, x.default_rate, x.low, x.high, x.model_probability,
           x.distance, x.age_low, x.age_high, x.income_low, x.income_high, x.amount_low, x.amount_high,
           x.annuity_income_low, x.annuity_income_high, m.customer_id IS NOT NULL AS neighbours_are_kept
    FROM credit.similar_customer AS x
    JOIN credit.scoring_run AS r ON r.run_id = x.run_id
    -- Who they are is about others.
    LEFT JOIN credit.similar_member AS m ON m.run_id = x.run_id AND m.customer_id = x.customer_id
    WHERE x.customer_id = %(id)s
    ORDER BY r.as_of, x.run_id
"""
# Codes stand in the order of the features that scores rest on, each a whole number of two bytes, the lower first.
_CODES = """
    SELECT c.model_id, c.fold, f.name AS column_name, f.label_en, f.label_fr,
           (code.value - CASE WHEN code.value < 32768 THEN 0 ELSE 65536 END) / 2048.0::float8 AS contribution,
           NULLIF(s.places[o.ord], 0) AS place_among_former
    FROM credit.former_code AS c
    JOIN credit.model_version AS m ON m.model_id = c.model_id
    CROSS JOIN LATERAL (
        SELECT p.feature_id, row_number() OVER (ORDER BY p.feature_id)::integer - 1 AS place
        FROM credit.policy_feature AS p WHERE p.policy_id = m.policy_id
    ) AS place
    CROSS JOIN LATERAL (
        SELECT get_byte(c.codes, 2 * place.place) + 256 * get_byte(c.codes, 2 * place.place + 1) AS value
    ) AS code
    JOIN credit.feature AS f ON f.feature_id = place.feature_id
    -- Where he stands among former customers of the same outcome, in the order of a feature's values.
    LEFT JOIN credit.cohort_place AS s ON s.model_id = c.model_id AND s.customer_id = c.customer_id
    LEFT JOIN credit.cohort_feature AS o ON o.model_id = c.model_id AND o.feature_id = place.feature_id
    WHERE c.customer_id = %(id)s
    ORDER BY c.model_id, f.feature_id
"""
_REJECTED = """
    SELECT x.run_id, r.as_of, r.source_name, x.row_number, x.customer_id, x.column_name, x.rule, x.value
    FROM credit.rejected_application AS x
    JOIN credit.scoring_run AS r ON r.run_id = x.run_id
    WHERE {his}
    ORDER BY r.as_of, x.run_id, x.row_number
"""
# By name, or with the whole of a region in which the published run has the person.
_ASSIGNMENTS = """
    SELECT p.username, p.region_rating, p.assigned_at, p.assigned_by
    FROM credit.advisor_portfolio AS p
    WHERE p.customer_id = %(id)s
        OR p.region_rating = (
            SELECT a.region_rating_client
            FROM credit.new_customer AS a
            JOIN credit.published_run AS r ON r.run_id = a.run_id
            WHERE a.customer_id = %(id)s
        )
    ORDER BY p.assigned_at, p.assignment_id
"""
_DECISIONS = """
    SELECT d.decision_id, d.run_id, r.as_of, d.score, d.default_probability, d.band, d.recommendation,
           s.label_en AS recommendation_en, s.label_fr AS recommendation_fr, d.reasons, d.decision,
           reporting.human_decision_en(d.decision) AS decision_en,
           reporting.human_decision_fr(d.decision) AS decision_fr, d.amount, d.duration, d.annuity, d.reason_code,
           g.label_en AS ground_en, g.label_fr AS ground_fr, d.note, d.decided_by, d.decided_at, d.supersedes,
           d.model_id, d.policy_id
    FROM credit.decision AS d
    JOIN credit.scoring_run AS r ON r.run_id = d.run_id
    JOIN credit.decision_ground AS g ON g.code = d.reason_code
    LEFT JOIN credit.suggested_decision AS s ON s.decision = d.recommendation
    WHERE d.customer_id = %(id)s
    ORDER BY d.decision_id
"""
_REVIEWS = """
    SELECT r.review_id, r.decision_id, r.point_of_view, r.asked_at, r.recorded_by, r.due_at, c.outcome,
           reporting.review_outcome_en(c.outcome) AS outcome_en,
           reporting.review_outcome_fr(c.outcome) AS outcome_fr,
           c.note AS conclusion, c.concluded_by, c.concluded_at, c.decision_id AS new_decision_id
    FROM credit.review AS r
    LEFT JOIN credit.review_conclusion AS c ON c.review_id = r.review_id
    WHERE r.customer_id = %(id)s
    ORDER BY r.review_id
"""
# What a person is given, by subject.
COPY = {
    "applications": _APPLICATION,
    "scores": _SCORES,
    "contributions": _CONTRIBUTIONS,
    "reasons": _REASONS,
    "offers": _OFFERS,
    "similar": _SIMILAR,
    "rejected": _REJECTED.format(his=HIS_REJECTED),
    "former": _FORMER,
    "codes": _CODES,
    "assignments": _ASSIGNMENTS,
    "decisions": _DECISIONS,
    "reviews": _REVIEWS,
}


def everything(engine: Engine, customer_id: int) -> dict[str, list[dict[str, Any]]]:
    """All that is held about one person, in codes and in words of both languages, as of one moment.

    Returns rows of `applications` and `former` (one per run or model and column), `scores` (one per run, dropped
    details included), `contributions` (one per retained run and feature), `reasons` (one per retained run
    in which the application was not accepted, and reason), `offers` (one per such run and offer that was scored, or
    one per run without any), `similar` (what became of former customers like this one, one per retained run),
    `codes` (what a former customer is compared by, one per model and feature), `rejected`, `assignments` to
    advisors, and `decisions` and `reviews` by people (one each, whatever became of the run).
    """
    with connect(engine) as connection:
        connection = connection.execution_options(isolation_level="REPEATABLE READ")
        with driver(connection).cursor(row_factory=dict_row) as cursor:
            return {name: _rows(cursor, query, customer_id) for name, query in COPY.items()}


def _rows(cursor: psycopg.Cursor[dict[str, Any]], query: str, customer_id: int) -> list[dict[str, Any]]:
    return cursor.execute(query, parameters(customer_id)).fetchall()
