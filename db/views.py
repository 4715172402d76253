"""The views of schema `reporting`: one file each, made anew whenever a file differs from what the database has.

The digest of all files stands in the comment of the schema, so that a view that was edited reaches every database
with the next `creditlens up`, with or without a migration. Migrations only drop what stands in their way.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from psycopg.errors import InsufficientPrivilege
from sqlalchemy import Connection, Engine, text

from db.access.names import current as current_names
from db.access.roles import open_to_readers
from db.engine import driver, transaction
from db.models import REPORTING

VIEWS = Path(__file__).resolve().parents[1] / "migrations" / "views"

# The order in which they build on each other.
ORDER = (
    "functions",
    "decision_words",
    "published_run",
    "portfolio_state",
    "point_scale",
    "run_history",
    "feature",
    "category",
    "category_list",
    "policy",
    "policy_feature",
    "policy_line",
    "policy_band",
    "score_band",
    "customer",
    "customer_explanation",
    "explanation_group",
    "decision_reason",
    "score_reason",
    "what_if",
    "what_if_summary",
    "customer_comparison",
    "score_change",
    "score_change_part",
    "decision_flip",
    "customer_change",
    "score_history",
    "run_score",
    "run_explanation",
    "customer_score",
    "customer_card",
    "customer_reason",
    "customer_what_if",
    "customer_what_if_grid",
    "customer_what_if_frontier",
    "similar_customers",
    "customer_similar",
    "customer_bar",
    "customer_feature",
    "customer_waterfall",
    "customer_timeline",
    "customer_mover",
    "decision_ground",
    "decision",
    "review",
    "customer_decision",
    "worklist",
    "cohort_types",
    "cohort_functions",
    "cohort_option",
    "cohort_filter",
    "cohort_feature",
    "cohort_customer",
    "cohort_selection",
    "cohort_comparison",
    "cohort_histogram",
    "cohort_default_rate",
    "customer_cohort",
    "cohort_comments",
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
    "policy_simulation",
    "application",
    "former_customer",
    "table_functions",
)


def digest() -> str:
    """SHA-256 of all view files, in their order."""
    whole = hashlib.sha256()
    for name in ORDER:
        content = (VIEWS / f"{name}.sql").read_bytes()
        whole.update(f"{name} {len(content)}\n".encode() + content)
    return whole.hexdigest()


def current(connection: Connection) -> bool:
    """Whether the database has the views of this program."""
    comment = connection.scalar(
        text("SELECT obj_description(to_regnamespace(:name), 'pg_namespace')"), {"name": REPORTING}
    )
    return bool(comment == _comment())


def bring_up_to_date(engine: Engine) -> bool:
    """Make all views anew if the files differ from what the database has; whether they did.

    One transaction: readers who could read before can read after it, and see either the old views or the new ones.
    Readers who were kept out stay out, until `db.access.roles.ensure_readers` lets them in.
    """
    with transaction(engine) as connection:
        if current(connection):
            return False
        let_in = _readers_are_in(connection)
        create(connection)
        if let_in:
            try:
                with connection.begin_nested():
                    open_to_readers(connection)
            except InsufficientPrivilege:
                # Then it is up to the server's administrator, as it was before.
                return True
    return True


def create(connection: Connection) -> None:
    """Make schema `reporting` and everything in it anew, without grants."""
    drop(connection)
    connection.exec_driver_sql(f"CREATE SCHEMA {REPORTING}")
    for name in ORDER:
        statements = (VIEWS / f"{name}.sql").read_text(encoding="utf-8")
        # Without parameters the driver takes the text as it is: many statements, and % and : mean nothing.
        connection.exec_driver_sql(statements, execution_options={"no_parameters": True})
    connection.exec_driver_sql(f"COMMENT ON SCHEMA {REPORTING} IS '{_comment()}'")


def drop(connection: Connection) -> None:
    """Drop schema `reporting` with everything in it; nothing happens if it is not there."""
    connection.exec_driver_sql(f"DROP SCHEMA IF EXISTS {REPORTING} CASCADE")


def _comment() -> str:
    return f"What readers may ask. Made from view files with SHA-256 {digest()}"


def _readers_are_in(connection: Connection) -> bool:
    """Whether the readers' role may use the schema now."""
    return bool(
        connection.scalar(
            text(
                "SELECT has_schema_privilege(r.oid, n.oid, 'USAGE') FROM pg_roles AS r, pg_namespace AS n"
                " WHERE r.rolname = :role AND n.nspname = :schema"
            ),
            {"role": current_names(driver(connection)).reader, "schema": REPORTING},
        )
    )
