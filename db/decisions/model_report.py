"""What the model report says: the published run's model, as the views that readers have show it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine, text

from db.engine import connect

Row = Mapping[str, Any]

_QUERIES = {
    "run": "SELECT * FROM reporting.published_run",
    "card": "SELECT * FROM reporting.model_card WHERE is_published",
    "policy": "SELECT * FROM reporting.policy WHERE is_published",
    "bands": "SELECT * FROM reporting.score_band ORDER BY minimum_score DESC",
    "lines": """
        SELECT * FROM reporting.policy_line WHERE policy_id = (SELECT policy_id FROM reporting.published_run)
    """,
    "rules": """
        SELECT * FROM reporting.policy_feature
        WHERE is_published AND is_named ORDER BY may_score, may_be_told, feature_id
    """,
    "gains": "SELECT * FROM reporting.gains ORDER BY decile",
    "calibration": "SELECT * FROM reporting.calibration WHERE is_published ORDER BY bin",
    "groups": "SELECT * FROM reporting.group_fairness ORDER BY ord",
    "importance": "SELECT * FROM reporting.feature_importance ORDER BY rank, feature_id LIMIT 15",
    "nights": "SELECT * FROM reporting.score_drift ORDER BY nights_ago LIMIT 14",
    "warnings": """
        SELECT * FROM reporting.run_check
        WHERE run_id = (SELECT run_id FROM reporting.published_run) AND NOT passed
    """,
    "features": "SELECT * FROM reporting.feature",
}


def model_report(engine: Engine) -> dict[str, list[Row]]:
    """Rows of the views by subject; all empty before a run is published."""
    with connect(engine) as connection:
        return {
            subject: [dict(row._mapping) for row in connection.execute(text(query))]
            for subject, query in _QUERIES.items()
        }


def outcomes(engine: Engine, model_id: int) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Former customers' numbers, log-odds out of fold and outcomes (1 is a default); shape (n,) each."""
    query = text(
        "SELECT customer_id, log_odds, target FROM credit.former_customer WHERE model_id = :model_id ORDER BY 1"
    )
    with connect(engine) as connection:
        rows = connection.execute(query, {"model_id": model_id}).all()
    columns = np.array([tuple(row) for row in rows], dtype=np.float64).reshape(len(rows), 3).T
    return columns[0].astype(np.int64), columns[1], columns[2]
