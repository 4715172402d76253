"""Advisors with customers of their own, what was decided, and who looks, as the dashboards tell Postgres."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, Engine, text

from db.access.portfolios import assign_all, rows


def assign(
    engine: Engine, username: str, *, customers: Sequence[int] = (), regions: Sequence[int] = (), by: str
) -> int:
    """Assign customers, or all of tonight's with a rating of their region, to an advisor; how many were new."""
    return assign_all(engine, rows(username, customers=customers, regions=regions, by=by))


def sign(key: str, username: str, backend: int, *, everybody: bool = False, at: float | None = None) -> str:
    """What the setting `creditlens.viewer` must hold for `username` to look; good for five minutes from `at`.

    In the connection whose server process has the number `backend`, and in no other.
    """
    seconds = int(time.time() if at is None else at)
    said = f"{'all' if everybody else 'own'}.{seconds}.{backend}.{username.encode().hex()}"
    return f"{said}.{hmac.new(key.encode(), said.encode(), hashlib.sha256).hexdigest()}"


def decide(connection: Connection, customers: Iterable[int]) -> None:
    """Somebody refuses these customers of the published run, and all of them ask for a review."""
    connection.execute(
        text(
            "INSERT INTO credit.decision (customer_id, run_id, model_id, policy_id, recommendation,"
            " default_probability, score, band, reasons, decision, reason_code, note, decided_by)"
            " SELECT s.customer_id, s.run_id, run.model_id, run.policy_id, s.decision, s.default_probability,"
            " s.score, s.band, '{}', 'refuse', 'burden', '', 'somebody'"
            " FROM credit.published_run AS p JOIN credit.scoring_run AS run ON run.run_id = p.run_id"
            " JOIN credit.score AS s ON s.run_id = p.run_id WHERE s.customer_id = ANY(:customers)"
        ),
        {"customers": list(customers)},
    )
    connection.execute(
        text(
            "INSERT INTO credit.review (customer_id, decision_id, point_of_view, recorded_by, due_at, four_eyes)"
            " SELECT d.customer_id, d.decision_id, 'Please look again.', 'somebody', now() + interval '30 days',"
            " true FROM credit.decision AS d WHERE d.customer_id = ANY(:customers)"
        ),
        {"customers": list(customers)},
    )
