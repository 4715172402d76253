"""The audit of what a run tells of similar former customers, before anybody sees it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import Connection, sql
from sqlalchemy import Engine

from db.engine import connect
from db.models import SCHEMA, partition_name, score, similar_customer, similar_member
from db.runs.audit import at_most, equal
from db.runs.ledger import Check

TOLERANCE = 1e-9
SMALLEST_GROUP = 20

# The interval is worked out from the counts by Wilson's other form: the roots of a quadratic equation.
_SIMILAR = """
WITH anew AS (
    SELECT s.*, s.neighbours::float8 AS n, s.defaulted::float8 AS k, 1.959963984540054::float8 ^ 2 AS z2
    FROM {similar_customer} AS s
), ends AS (
    SELECT a.*, (2 * k + z2) / (2 * (n + z2)) AS middle,
           sqrt(greatest(0, (2 * k + z2) ^ 2 - 4 * (n + z2) * k ^ 2 / n)) / (2 * (n + z2)) AS half
    FROM anew AS a
)
SELECT count(*), count(s.customer_id),
       count(*) FILTER (WHERE e.neighbours < %(smallest)s OR e.neighbours > %(most)s),
       count(*) FILTER (WHERE e.low > e.default_rate OR e.default_rate > e.high),
       coalesce(max(greatest(
           abs(e.default_rate - k / n), abs(e.low - (middle - half)), abs(e.high - (middle + half)),
           abs(e.model_probability - s.default_probability)
       )), 0)
FROM ends AS e LEFT JOIN {score} AS s ON s.customer_id = e.customer_id
"""
_SOME = """
SELECT s.customer_id, s.neighbours, s.defaulted, s.distance, m.members
FROM {similar_customer} AS s LEFT JOIN {similar_member} AS m ON m.customer_id = s.customer_id
WHERE s.customer_id = ANY(%(asked)s)
"""
# Lists that are not of as many people as are counted, and counts and lists without the other.
_LISTS = """
SELECT count(*)
FROM {similar_customer} AS s FULL JOIN {similar_member} AS m ON m.customer_id = s.customer_id
WHERE cardinality(m.members) IS DISTINCT FROM s.neighbours
"""


@dataclass(frozen=True, slots=True)
class Again:
    """What became of one applicant's neighbours, found by comparing with everybody.

    Attributes
    ----------
    distance: of the farthest.
    members: who they are, by rising number.
    """

    customer_id: int
    neighbours: int
    defaulted: int
    distance: float
    members: tuple[int, ...]


def audit_similar(
    engine: Engine, run_id: int, *, customers: int, again: Sequence[Again], most: int = 200
) -> list[Check]:
    """Check that everybody's neighbours are told of and listed, that rates and intervals are those of the counts.

    Parameters
    ----------
    customers: applicants with neighbours: all of the run, or none.
    again: some of them, looked for among everybody.
    most: how many neighbours an applicant has at most.
    """
    tables = {
        table.name: sql.Identifier(SCHEMA, partition_name(table, run_id))
        for table in (score, similar_customer, similar_member)
    }
    with connect(engine) as connection:
        driver: Connection[Any] = connection.connection.driver_connection  # type: ignore[assignment]
        asked = {"smallest": SMALLEST_GROUP, "most": most, "asked": [each.customer_id for each in again]}
        row = driver.execute(sql.SQL(_SIMILAR).format(**tables), asked).fetchone()
        stored = {
            Again(customer_id, neighbours, defaulted, distance, tuple(members or ()))
            for customer_id, neighbours, defaulted, distance, members in driver.execute(
                sql.SQL(_SOME).format(**tables), asked
            )
        }
        unlike = driver.execute(sql.SQL(_LISTS).format(**tables)).fetchone()
    assert row is not None and unlike is not None
    told, scored, sizes, disordered, error = row
    return [
        equal("similar_customers_told", min(told, scored), customers),
        equal("similar_groups_of_wrong_size", sizes, 0),
        equal("similar_rates_out_of_interval", disordered, 0),
        equal("similar_lists_of_wrong_size", unlike[0], 0),
        at_most("similar_error", error, TOLERANCE),
        equal("similar_found_otherwise", len(set(again) - stored), 0),
    ]
