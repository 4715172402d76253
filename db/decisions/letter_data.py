"""What letters to applicants say: one door to the published run for the sheet and the letter of each customer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import Connection, Engine, text

from db.engine import connect

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class LetterRun:
    """The published run, with what all of its letters have in common.

    Attributes
    ----------
    catalogue_id: version of the reasons' catalogue; None where nobody has a reason.
    bands: band, minimum_score, maximum_score, decision, label_en, label_fr; the lowest first.
    barred: label_en and label_fr of what may not score.
    """

    run_id: int
    as_of: date
    model_id: int
    policy_id: int
    policy_en: str
    policy_fr: str
    catalogue_id: int | None
    base_score: float
    former_customers: int
    bands: tuple[Row, ...]
    barred: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class WhatIf:
    """What became of the search for terms that would get a yes.

    Attributes
    ----------
    outcome: found, none, or why nothing was searched: revolving, no_annuity, no_duration.
    amount, duration, annuity: the offer that changes least; None where none was found.
    """

    outcome: str
    amount: float | None = None
    duration: int | None = None
    annuity: float | None = None


@dataclass(frozen=True, slots=True)
class Similar:
    """What became of the former customers most like this one; shares are 0 to 1, the interval is of 95 %."""

    neighbours: int
    defaulted: int
    default_rate: float
    low: float
    high: float
    model_probability: float


@dataclass(frozen=True, slots=True)
class CustomerLetter:
    """One applicant of the published run, as a letter tells it.

    Attributes
    ----------
    customer: score, score_exact, default_percent, percentile, decision, decision_en, decision_fr, band, band_en,
        band_fr; decided, ground_en, ground_fr: what a person decided and why, amount, duration, annuity: on which
        other terms; None where nobody has.
    facts: feature, label_en, label_fr, value_en, value_fr, may_score; in the order asked for.
    reasons: reason_code, text_en, text_fr, action_en, action_fr; the strongest first, none of one who is accepted.
    groups: label_en, label_fr, score_points of what may be told, the strongest first.
    what_if, similar: None where the run keeps none, and then nothing is said about them.
    """

    customer_id: int
    customer: Row
    facts: tuple[Row, ...]
    reasons: tuple[Row, ...]
    groups: tuple[Row, ...]
    what_if: WhatIf | None = None
    similar: Similar | None = None


_RUN = """
SELECT run.run_id, run.as_of, run.model_id, run.policy_id, p.name_en AS policy_en, p.name_fr AS policy_fr,
       (SELECT max(r.catalogue_id) FROM credit.reason AS r WHERE r.run_id = run.run_id) AS catalogue_id,
       run.base_score, m.training_rows AS former_customers
FROM reporting.published_run AS run
JOIN reporting.policy AS p ON p.policy_id = run.policy_id
JOIN reporting.model_card AS m ON m.model_id = run.model_id
"""
_BANDS = "SELECT * FROM reporting.score_band ORDER BY minimum_score"
_BARRED = """
SELECT feature_label_en AS label_en, feature_label_fr AS label_fr FROM reporting.policy_feature
WHERE is_published AND NOT may_score AND because_en IS NOT NULL ORDER BY feature_id
"""
_CUSTOMERS = """
SELECT c.customer_id, c.score, c.score_exact, c.default_percent, c.percentile, c.decision,
       c.decision_label_en AS decision_en, c.decision_label_fr AS decision_fr,
       c.band, c.band_label_en AS band_en, c.band_label_fr AS band_fr,
       held.decision AS decided, held.reason_en AS ground_en, held.reason_fr AS ground_fr,
       held.amount, held.duration, held.annuity
FROM reporting.customer AS c
LEFT JOIN reporting.decision AS held ON held.customer_id = c.customer_id AND held.is_current
WHERE c.customer_id = ANY(:ids)
"""
# By the policy that the run was decided by, as the letter is about that decision.
_FACTS = """
SELECT e.customer_id, e.feature, e.label_en, e.label_fr, e.value_en, e.value_fr,
       COALESCE(rule.may_score, true) AS may_score
FROM reporting.customer_explanation AS e
LEFT JOIN reporting.policy_feature AS rule ON rule.feature_id = e.feature_id AND rule.is_published
WHERE e.customer_id = ANY(:ids)
  AND e.feature_id IN (SELECT f.feature_id FROM credit.feature AS f WHERE f.name = ANY(:features))
ORDER BY e.customer_id, array_position(:features, e.feature::text)
"""
_REASONS = """
SELECT customer_id, reason_code, text_en, text_fr, action_en, action_fr
FROM reporting.decision_reason
WHERE run_id = (SELECT p.run_id FROM credit.published_run AS p) AND customer_id = ANY(:ids)
ORDER BY customer_id, place
"""
# A group is named by what it gathers; where one feature alone counts, by that one.
_GROUPS = """
SELECT customer_id,
       CASE WHEN features > 1 THEN group_label_en ELSE label_en END AS label_en,
       CASE WHEN features > 1 THEN group_label_fr ELSE label_fr END AS label_fr,
       score_points
FROM reporting.explanation_group
WHERE customer_id = ANY(:ids) AND may_be_told
ORDER BY customer_id, told_rank
"""
_WHAT_IF = """
SELECT customer_id, outcome, amount, duration, annuity FROM reporting.what_if_summary
WHERE customer_id = ANY(:ids) AND outcome <> 'accepted'
"""
_SIMILAR = """
SELECT customer_id, neighbours, defaulted, default_rate, low, high, model_probability
FROM reporting.similar_customers WHERE customer_id = ANY(:ids) AND neighbours IS NOT NULL
"""
# What a person decided takes the place of what the night suggests.
_REFUSED = """
SELECT c.customer_id
FROM reporting.customer AS c
LEFT JOIN reporting.decision AS held ON held.customer_id = c.customer_id AND held.is_current
WHERE COALESCE(held.decision, c.decision) IN ('decline', 'refuse')
ORDER BY c.customer_id
"""


def letter_run(engine: Engine) -> LetterRun | None:
    """The run that letters are of, None before one is published."""
    with connect(engine) as connection:
        row = connection.execute(text(_RUN)).one_or_none()
        if row is None:
            return None
        return LetterRun(
            **row._mapping, bands=tuple(_rows(connection, _BANDS)), barred=tuple(_rows(connection, _BARRED))
        )


def refused(engine: Engine) -> list[int]:
    """Whom a person refused, or the published run suggests to decline and nobody decided on, by number."""
    with connect(engine) as connection:
        return list(connection.scalars(text(_REFUSED)))


def letters(
    engine: Engine, customer_ids: Sequence[int], features: Sequence[str], *, details: bool = True
) -> list[CustomerLetter]:
    """Applicants of the published run, by number; an unknown one is left out.

    Parameters
    ----------
    features: whose values are the facts, in this order.
    details: whether facts and groups are asked for too, which the decision letter does without.
    """
    with connect(engine) as connection:
        ids = {"ids": list(customer_ids)}
        customers = _rows(connection, _CUSTOMERS, **ids)
        reasons = _by_customer(_rows(connection, _REASONS, **ids))
        facts = _by_customer(_rows(connection, _FACTS, features=list(features), **ids) if details else ())
        groups = _by_customer(_rows(connection, _GROUPS, **ids) if details else ())
        offers = _one_each(_rows(connection, _WHAT_IF, **ids))
        similar = _one_each(_rows(connection, _SIMILAR, **ids) if details else ())
    made = []
    for row in sorted(customers, key=lambda row: int(row["customer_id"])):
        number = int(row["customer_id"])
        own, why, moves = (tuple(each.get(number, ())) for each in (facts, reasons, groups))
        what_if = WhatIf(**offers[number]) if number in offers else None
        like = Similar(**similar[number]) if number in similar else None
        made.append(CustomerLetter(number, row, own, why, moves, what_if, like))
    return made


def _one_each(rows: Iterable[Row]) -> dict[int, dict[str, Any]]:
    """Each customer's row, without the number."""
    return {
        int(row["customer_id"]): {name: value for name, value in row.items() if name != "customer_id"}
        for row in rows
    }


def _by_customer(rows: Iterable[Row]) -> dict[int, list[Row]]:
    found: dict[int, list[Row]] = {}
    for row in rows:
        found.setdefault(int(row["customer_id"]), []).append(row)
    return found


def _rows(connection: Connection, query: str, **parameters: Any) -> list[Row]:
    return [dict(row._mapping) for row in connection.execute(text(query), parameters)]
