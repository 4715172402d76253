"""The views of schema `reporting`, one file each, made in the order in which they build on each other.

A migration that changes views calls `create_views`: the whole schema is dropped and made anew from the files, and
the grants on it must be given again (`db.roles.ensure_readers`). A migration that changes a column that views read
calls `drop_views` first. The files describe the newest schema only, so of all migrations just the newest one that
calls `create_views` does so, and the calls of those before it are taken out.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection

VIEWS = Path(__file__).resolve().parent / "views"

ORDER = (
    "functions",
    "published_run",
    "portfolio_state",
    "point_scale",
    "run_history",
    "feature",
    "category",
    "category_list",
    "score_band",
    "customer",
    "customer_explanation",
    "customer_comparison",
    "customer_change",
    "score_history",
    "customer_score",
    "customer_card",
    "customer_reason",
    "customer_bar",
    "customer_feature",
    "customer_waterfall",
    "customer_timeline",
    "customer_mover",
    "worklist",
    "cohort_functions",
    "cohort_option",
    "cohort_filter",
    "cohort_feature",
    "cohort_customer",
    "cohort_selection",
    "cohort_comparison",
    "cohort_histogram",
    "cohort_default_rate",
    "cohort_statistics",
    "score_distribution",
    "band_distribution",
    "score_drift",
    "feature_drift",
    "feature_importance",
    "feature_dependence",
    "data_quality",
    "rejected_row",
    "unknown_category",
    "run_check",
    "model_card",
    "calibration",
    "gains",
    "group_fairness",
    "application",
    "former_customer",
    "table_functions",
)


def create_views(connection: Connection) -> None:
    """Make schema `reporting` and everything in it anew."""
    drop_views(connection)
    connection.exec_driver_sql("CREATE SCHEMA reporting")
    for name in ORDER:
        statements = (VIEWS / f"{name}.sql").read_text(encoding="utf-8")
        # Without parameters the driver takes the text as it is: many statements, and % and : mean nothing.
        connection.exec_driver_sql(statements, execution_options={"no_parameters": True})


def drop_views(connection: Connection) -> None:
    """Drop schema `reporting` with everything in it; nothing happens if it is not there."""
    connection.exec_driver_sql("DROP SCHEMA IF EXISTS reporting CASCADE")
