"""Who the former customers are who are most like an applicant, so that cohorts can be counted among them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.reporting import drop_views

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

# As on every table about single customers, see 0006.
POLICY = """
CREATE POLICY own_customers ON credit.similar_member USING (
    (SELECT credit.sees_everybody())
    OR similar_member.customer_id IN (SELECT credit.viewer_customers())
    OR (similar_member.customer_id)::bigint <@ ANY ((SELECT credit.viewer_regions())::int8multirange[])
)
"""


def upgrade() -> None:
    """Runs of before have no lists and models of before no places: of them, nobody is like a customer."""
    op.create_table(
        "similar_member",
        sa.Column("run_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("customer_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("members", postgresql.ARRAY(sa.Integer), nullable=False),
        sa.CheckConstraint("cardinality(members) BETWEEN 20 AND 1000", name="members_range"),
        schema="credit",
        comment="Who the former customers are whom similar_customer counts: for cohorts to be counted by, for no"
        " reader; one partition per run",
        postgresql_partition_by="LIST (run_id)",
    )
    op.create_table(
        "cohort_place",
        sa.Column(
            "model_id", sa.Integer, sa.ForeignKey("credit.model_version.model_id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("customer_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("target", sa.SmallInteger, nullable=False),
        sa.Column("places", postgresql.ARRAY(sa.Integer), nullable=False),
        sa.CheckConstraint("target IN (0, 1)", name="target_known"),
        schema="credit",
        comment="At which bit each former customer stands in the bitmaps of each feature, in the features' order, from"
        " 1; 0 without a value",
    )
    op.execute(POLICY)
    if op.get_bind().scalar(sa.text("SELECT s.limited FROM credit.portfolio_state AS s")):
        op.execute("ALTER TABLE credit.similar_member ENABLE ROW LEVEL SECURITY")


def downgrade() -> None:
    """Who is like whom is lost; what became of them stays. The views come back with the next upgrade."""
    drop_views(op.get_bind())
    op.drop_table("cohort_place", schema="credit")
    op.drop_table("similar_member", schema="credit")
