"""The audit of a run's offers: that they are whole, follow the policy, and agree with what was scored."""

from __future__ import annotations

from typing import Any

from psycopg import Connection, sql
from sqlalchemy import Engine

from db.engine import connect
from db.models import SCHEMA, new_customer, partition_name, score, what_if, what_if_summary
from db.runs.audit import PROBABILITY_TOLERANCE, at_most, equal
from db.runs.ledger import Check

# The band of a score is looked up once a score, and a contract type's line once a customer.
_OFFERS = """
WITH decided AS MATERIALIZED (
    SELECT p.score, (
        SELECT b.decision FROM credit.score_band AS b
        WHERE b.policy_id = %(policy_id)s AND b.minimum_score <= p.score ORDER BY b.minimum_score DESC LIMIT 1
    ) AS decision
    FROM generate_series(0, 100) AS p (score)
), line AS MATERIALIZED (
    SELECT l.contract_type, l.accept_below, l.decline_from FROM credit.policy_line AS l
    WHERE l.policy_id = %(policy_id)s
), offer AS MATERIALIZED (
    SELECT o.customer_id, o.duration, o.amount, o.annuity, o.default_probability, o.score, o.decision,
           o.is_frontier, o.is_asked,
           max(o.amount) FILTER (WHERE o.decision = 'accept') OVER (
               PARTITION BY o.customer_id, o.duration
           ) AS most
    FROM {what_if} AS o
), with_offers AS (
    SELECT customer_id, bool_or(decision = 'accept') AS feasible, count(*) FILTER (WHERE is_asked) AS asked,
           count(*) FILTER (WHERE is_frontier IS DISTINCT FROM (decision = 'accept' AND amount = most)) AS misplaced
    FROM offer GROUP BY customer_id
)
SELECT
    (SELECT count(*) FROM {score} AS s WHERE s.decision <> 'accept'),
    (SELECT count(*) FROM {score} AS s JOIN {what_if_summary} AS w USING (customer_id)
     WHERE s.decision <> 'accept'),
    (SELECT count(*) FROM {what_if_summary} AS w LEFT JOIN {score} AS s USING (customer_id)
     WHERE s.decision IS NULL OR s.decision = 'accept'),
    (SELECT count(*) FROM {what_if_summary} AS w FULL JOIN with_offers AS o USING (customer_id)
     WHERE w.outcome IS NULL OR (w.outcome = 'found') <> coalesce(o.feasible, false)
        OR (w.outcome IN ('found', 'none') AND coalesce(o.asked, 0) <> 1)
        OR (w.outcome NOT IN ('found', 'none') AND o.customer_id IS NOT NULL)),
    (SELECT coalesce(sum(misplaced), 0) FROM with_offers),
    (SELECT count(*) FROM {what_if_summary} AS w WHERE w.outcome = 'found' AND NOT EXISTS (
        SELECT FROM offer AS o
        WHERE o.customer_id = w.customer_id AND o.duration = w.duration AND o.amount = w.amount
            AND o.annuity = w.annuity AND o.default_probability = w.default_probability AND o.score = w.score
            AND o.decision = 'accept'
    )),
    (SELECT count(*) FROM offer AS o JOIN decided AS d ON d.score = o.score
     JOIN {new_customer} AS a ON a.customer_id = o.customer_id
     LEFT JOIN line AS own ON own.contract_type = a.name_contract_type
     LEFT JOIN line AS others ON others.contract_type = 0
     WHERE o.decision IS DISTINCT FROM CASE
         WHEN others.contract_type IS NULL THEN d.decision
         WHEN o.default_probability < coalesce(own.accept_below, others.accept_below) THEN 'accept'
         WHEN o.default_probability < coalesce(own.decline_from, others.decline_from) THEN 'review'
         ELSE 'decline'
     END),
    (SELECT count(*) FROM offer AS o WHERE abs(o.score - 100 * (1 - o.default_probability)) > 0.5 + 1e-9),
    (SELECT coalesce(max(greatest(
        abs(o.default_probability - s.default_probability), abs(o.amount - a.amt_credit),
        abs(o.annuity - a.amt_annuity)
     )), 0) FROM offer AS o JOIN {score} AS s USING (customer_id) JOIN {new_customer} AS a USING (customer_id)
     WHERE o.is_asked)
"""


def audit_what_if(engine: Engine, run_id: int, policy_id: int) -> list[Check]:
    """Check that those who are not accepted, and nobody else, have offers that the policy decides as they say.

    What was asked for is scored by the search too: it must come out as in the night.
    """
    tables = {
        table.name: sql.Identifier(SCHEMA, partition_name(table, run_id))
        for table in (score, new_customer, what_if, what_if_summary)
    }
    with connect(engine) as connection:
        driver: Connection[Any] = connection.connection.driver_connection  # type: ignore[assignment]
        driver.execute("SET LOCAL work_mem = '128MB'")
        # Nothing is known yet of tables that have just been loaded: the planner would take them for small.
        driver.execute("SET LOCAL enable_nestloop = off")
        row = driver.execute(sql.SQL(_OFFERS).format(**tables), {"policy_id": policy_id}).fetchone()
    assert row is not None
    not_accepted, searched, of_others, outcomes, misplaced, nearest, decided, scores, asked_error = row
    return [
        equal("what_if_not_accepted", searched, not_accepted),
        equal("what_if_of_others", of_others, 0),
        equal("what_if_outcomes_not_of_their_offers", outcomes, 0),
        equal("what_if_frontier_misplaced", int(misplaced), 0),
        equal("what_if_nearest_unknown", nearest, 0),
        equal("what_if_decisions_not_of_the_policy", decided, 0),
        equal("what_if_scores_not_of_their_probability", scores, 0),
        at_most("what_if_asked_error", asked_error, PROBABILITY_TOLERANCE),
    ]
