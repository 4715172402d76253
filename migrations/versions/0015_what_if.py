"""What would get a yes: offers of amount and duration, for those who are not accepted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrations.reporting import drop_views

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

# As on every table about single customers, see 0006.
POLICY = """
CREATE POLICY own_customers ON credit.{table} USING (
    (SELECT credit.sees_everybody())
    OR {table}.customer_id IN (SELECT credit.viewer_customers())
    OR ({table}.customer_id)::bigint <@ ANY ((SELECT credit.viewer_regions())::int8multirange[])
)
"""
TABLES = ("what_if_summary", "what_if")


def upgrade() -> None:
    """Runs of before have no offers."""
    op.create_table(
        "what_if_summary",
        sa.Column("run_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("customer_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("asked_duration", sa.SmallInteger),
        sa.Column("monthly_rate", sa.Double),
        sa.Column("duration", sa.SmallInteger),
        sa.Column("amount", sa.Double),
        sa.Column("annuity", sa.Double),
        sa.Column("default_probability", sa.Double),
        sa.Column("score", sa.SmallInteger),
        sa.CheckConstraint(
            "outcome IN ('found', 'none', 'revolving', 'no_annuity', 'no_duration')", name="outcome_known"
        ),
        sa.CheckConstraint("num_nonnulls(asked_duration, monthly_rate) IN (0, 2)", name="terms_whole"),
        sa.CheckConstraint(
            "num_nonnulls(duration, amount, annuity, default_probability, score)"
            " = CASE outcome WHEN 'found' THEN 5 ELSE 0 END",
            name="offer_where_found",
        ),
        schema="credit",
        comment="What would get a yes, of those who are not accepted: what the search found, and the nearest offer",
        postgresql_partition_by="LIST (run_id)",
    )
    op.create_table(
        "what_if",
        sa.Column("run_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("customer_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("duration", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("amount", sa.Double, primary_key=True, autoincrement=False),
        sa.Column("annuity", sa.Double, nullable=False),
        sa.Column("default_probability", sa.Double, nullable=False),
        sa.Column("score", sa.SmallInteger, nullable=False),
        sa.Column("decision", sa.Text, nullable=False),
        *(sa.Column(f"is_{what}", sa.Boolean, nullable=False) for what in ("grid", "frontier", "asked")),
        sa.CheckConstraint("duration BETWEEN 1 AND 600", name="duration_range"),
        sa.CheckConstraint("amount > 0 AND amount < 'Infinity'", name="amount_positive"),
        sa.CheckConstraint("annuity > 0 AND annuity < 'Infinity'", name="annuity_positive"),
        sa.CheckConstraint("default_probability BETWEEN 0 AND 1", name="default_probability_range"),
        sa.CheckConstraint("score BETWEEN 0 AND 100", name="score_range"),
        schema="credit",
        comment="Offers of amount and duration scored for those who are not accepted, one partition per run",
        postgresql_partition_by="LIST (run_id)",
    )
    limited = op.get_bind().scalar(sa.text("SELECT s.limited FROM credit.portfolio_state AS s"))
    for table in TABLES:
        op.execute(POLICY.format(table=table))
        if limited:
            op.execute(f"ALTER TABLE credit.{table} ENABLE ROW LEVEL SECURITY")


def downgrade() -> None:
    """The offers are lost; the views come back with the next upgrade."""
    drop_views(op.get_bind())
    for table in reversed(TABLES):
        op.drop_table(table, schema="credit")
