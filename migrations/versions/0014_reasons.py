"""The reasons for a decision are records from a catalogue, of which every version is kept."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from migrations.reporting import drop_views

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

# As on every table about single customers, see 0006.
POLICY = """
CREATE POLICY own_customers ON credit.reason USING (
    (SELECT credit.sees_everybody())
    OR reason.customer_id IN (SELECT credit.viewer_customers())
    OR (reason.customer_id)::bigint <@ ANY ((SELECT credit.viewer_regions())::int8multirange[])
)
"""


def upgrade() -> None:
    """Runs of before have no reasons: what was told of them was worked out when somebody asked."""
    op.create_table(
        "reason_catalogue",
        sa.Column("catalogue_id", sa.Integer, sa.Identity(), primary_key=True),
        sa.Column("sha256", sa.Text, nullable=False, unique=True),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.clock_timestamp()),
        schema="credit",
        comment="Every version of the catalogue of reasons that a run has used; the newest is the program's",
    )
    op.create_table(
        "reason_text",
        sa.Column(
            "catalogue_id", sa.Integer, sa.ForeignKey("credit.reason_catalogue.catalogue_id"), primary_key=True
        ),
        sa.Column("code", sa.Text, primary_key=True),
        sa.Column("feature_ids", ARRAY(sa.SmallInteger), nullable=False),
        *(
            sa.Column(f"{kind}_{language}", sa.Text)
            for kind in ("refusal", "advisor", "action")
            for language in ("en", "fr")
        ),
        sa.CheckConstraint(
            "num_nonnulls(refusal_en, refusal_fr, advisor_en, advisor_fr) IN (0, 4)", name="told_in_both_languages"
        ),
        sa.CheckConstraint("num_nonnulls(action_en, action_fr) IN (0, 2)", name="action_in_both_languages"),
        schema="credit",
        comment="The reasons of each catalogue: the features that each gathers, and its words; never changed",
    )
    op.create_table(
        "reason_reference",
        sa.Column("model_id", sa.Integer, sa.ForeignKey("credit.model_version.model_id"), primary_key=True),
        sa.Column("policy_id", sa.Integer, sa.ForeignKey("credit.policy.policy_id"), primary_key=True),
        sa.Column("rule", sa.Text, nullable=False),
        sa.Column("customers", sa.Integer, nullable=False),
        sa.Column("mean_contributions", JSONB, nullable=False),
        sa.CheckConstraint("customers > 0", name="customers_positive"),
        schema="credit",
        comment="Whom those who are not accepted are compared with: mean contributions, by name of the feature, of"
        " former customers who would be accepted and are near the line",
    )
    op.create_table(
        "reason",
        sa.Column("run_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("customer_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("place", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("code", sa.Text, nullable=False),
        sa.Column("catalogue_id", sa.Integer, nullable=False),
        sa.Column("feature_id", sa.SmallInteger),
        sa.Column("log_odds", sa.Double),
        sa.Column("points", sa.Double),
        sa.CheckConstraint("place BETWEEN 1 AND 4", name="place_range"),
        sa.CheckConstraint("num_nonnulls(feature_id, log_odds, points) IN (0, 3)", name="all_or_nothing"),
        sa.CheckConstraint("log_odds > 0 AND log_odds < 'Infinity'", name="log_odds_positive"),
        sa.CheckConstraint("points > '-Infinity' AND points <= 0", name="points_not_positive"),
        schema="credit",
        comment="Why an application was not accepted: its reasons, the strongest first, one partition per run",
        postgresql_partition_by="LIST (run_id)",
    )
    op.execute(POLICY)
    bind = op.get_bind()
    if bind.scalar(sa.text("SELECT s.limited FROM credit.portfolio_state AS s")):
        op.execute("ALTER TABLE credit.reason ENABLE ROW LEVEL SECURITY")


def downgrade() -> None:
    """The reasons are lost; the views come back with the next upgrade."""
    drop_views(op.get_bind())
    for table in ("reason", "reason_reference", "reason_text", "reason_catalogue"):
        op.drop_table(table, schema="credit")
