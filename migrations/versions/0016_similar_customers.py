"""What became of the former customers who are most like an applicant, and what finds them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrations.reporting import drop_views

revision = "0016"
down_revision = "0015"
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
QUARTILES = ("age", "income", "amount", "annuity_income")


def upgrade() -> None:
    """Models of before have no models of their folds, so their runs go on without neighbours."""
    op.create_table(
        "former_code",
        sa.Column("model_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("customer_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("fold", sa.SmallInteger, nullable=False),
        sa.Column("codes", sa.LargeBinary, nullable=False),
        sa.CheckConstraint("fold BETWEEN 0 AND 127", name="fold_range"),
        schema="credit",
        comment="What moves each former customer's log-odds, by the model of the fold that never saw them: 16-bit whole"
        " numbers, the lower byte first, of 1/2048 of log-odds, in the order of the explained features",
        postgresql_partition_by="LIST (model_id)",
    )
    op.create_table(
        "similar_customer",
        sa.Column("run_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("customer_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("neighbours", sa.SmallInteger, nullable=False),
        sa.Column("defaulted", sa.SmallInteger, nullable=False),
        *(
            sa.Column(name, sa.Double, nullable=False)
            for name in ("default_rate", "low", "high", "model_probability", "distance")
        ),
        *(sa.Column(f"{name}_{end}", sa.Double) for name in QUARTILES for end in ("low", "high")),
        sa.CheckConstraint("neighbours BETWEEN 20 AND 1000", name="neighbours_range"),
        sa.CheckConstraint("defaulted BETWEEN 0 AND neighbours", name="defaulted_range"),
        sa.CheckConstraint(
            "0 <= low AND low <= default_rate AND default_rate <= high AND high <= 1", name="interval_in_order"
        ),
        sa.CheckConstraint("model_probability BETWEEN 0 AND 1", name="model_probability_range"),
        sa.CheckConstraint("distance >= 0 AND distance < 'Infinity'", name="distance_finite"),
        schema="credit",
        comment="What became of the former customers who are most like an applicant: counts and quartiles of a group of"
        " at least 20, never who they are, one partition per run",
        postgresql_partition_by="LIST (run_id)",
    )
    bind = op.get_bind()
    limited = bind.scalar(sa.text("SELECT s.limited FROM credit.portfolio_state AS s"))
    for table in ("former_code", "similar_customer"):
        op.execute(POLICY.format(table=table))
        if limited:
            op.execute(f"ALTER TABLE credit.{table} ENABLE ROW LEVEL SECURITY")


def downgrade() -> None:
    """What became of similar customers is lost; the views come back with the next upgrade."""
    drop_views(op.get_bind())
    for table in ("similar_customer", "former_code"):
        op.drop_table(table, schema="credit")
