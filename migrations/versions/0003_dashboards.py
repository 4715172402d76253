"""What the dashboards ask for: cohorts of former customers, statistics of each run."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.reporting import create_views, drop_views

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables and all views anew."""
    drop_views(op.get_bind())
    _cohorts()
    _run_statistics()
    create_views(op.get_bind())


def downgrade() -> None:
    """Drop them; the views come back with the next upgrade."""
    drop_views(op.get_bind())
    for table in ("run_feature_bin", "run_feature", "run_score", "run_summary", "feature_bin"):
        op.drop_table(table, schema="credit")
    for table in ("cohort_bin", "cohort_slice", "cohort_member", "cohort_feature", "cohort_option"):
        op.drop_table(table, schema="credit")


def _cohorts() -> None:
    """Former customers as bitmaps, by which any cohort is counted exactly."""
    bits = postgresql.BIT(varying=True)
    model = "credit.model_version.model_id"
    op.create_table(
        "cohort_option",
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("attribute", sa.Text(), nullable=False),
        sa.Column("code", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("value", sa.Text()),
        sa.Column("label_en", sa.Text(), nullable=False),
        sa.Column("label_fr", sa.Text(), nullable=False),
        sa.Column("repaid", sa.Integer(), nullable=False),
        sa.Column("defaulted", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["model_id"], [model], name=op.f("fk_cohort_option_model_id_model_version"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("model_id", "attribute", "code", name=op.f("pk_cohort_option")),
        schema="credit",
        comment="What former customers can be filtered by: categories and bands, in order; code 0 is everybody",
    )
    op.create_table(
        "cohort_feature",
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("feature_id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("ord", sa.SmallInteger(), nullable=False),
        sa.Column("origin", sa.Double(), nullable=False),
        sa.Column("per_unit", sa.Double(), nullable=False),
        sa.Column("bits", sa.SmallInteger(), nullable=False),
        sa.Column("exact", sa.Boolean(), nullable=False),
        sa.CheckConstraint("bits BETWEEN 1 AND 31", name=op.f("ck_cohort_feature_bits_range")),
        sa.CheckConstraint(
            "per_unit > 0 AND per_unit < 'Infinity'", name=op.f("ck_cohort_feature_per_unit_range")
        ),
        sa.ForeignKeyConstraint(
            ["model_id"], [model], name=op.f("fk_cohort_feature_model_id_model_version"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("model_id", "feature_id", name=op.f("pk_cohort_feature")),
        schema="credit",
        comment="Features as whole numbers in their order: value = (origin + code) / per_unit; feature 0 is the score",
    )
    feature_key = ["credit.cohort_feature.model_id", "credit.cohort_feature.feature_id"]
    op.create_table(
        "cohort_member",
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("feature_id", sa.SmallInteger(), nullable=False),
        sa.Column("target", sa.SmallInteger(), nullable=False),
        sa.Column("attribute", sa.Text(), nullable=False),
        sa.Column("code", sa.SmallInteger(), nullable=False),
        sa.Column("members", bits, nullable=False),
        sa.CheckConstraint("target IN (0, 1)", name=op.f("ck_cohort_member_target_known")),
        sa.ForeignKeyConstraint(
            ["model_id", "feature_id"], feature_key, name="fk_cohort_member_feature", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint(
            "model_id", "feature_id", "target", "attribute", "code", name=op.f("pk_cohort_member")
        ),
        schema="credit",
        comment="Per feature, outcome and option a bitmap of who has the option, in the order of the feature's values",
    )
    op.create_table(
        "cohort_slice",
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("feature_id", sa.SmallInteger(), nullable=False),
        sa.Column("target", sa.SmallInteger(), nullable=False),
        sa.Column("slice", sa.SmallInteger(), nullable=False),
        sa.Column("bits", bits, nullable=False),
        sa.CheckConstraint("target IN (0, 1)", name=op.f("ck_cohort_slice_target_known")),
        sa.ForeignKeyConstraint(
            ["model_id", "feature_id"], feature_key, name="fk_cohort_slice_feature", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("model_id", "feature_id", "target", "slice", name=op.f("pk_cohort_slice")),
        schema="credit",
        comment="Per feature and outcome a bitmap of everybody (slice 0) and one per digit of the codes, highest first",
    )
    op.create_table(
        "cohort_bin",
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("feature_id", sa.SmallInteger(), nullable=False),
        sa.Column("bin", sa.SmallInteger(), nullable=False),
        sa.Column("first_code", sa.BigInteger(), nullable=False),
        sa.Column("last_code", sa.BigInteger(), nullable=False),
        sa.Column("lower", sa.Double()),
        sa.Column("upper", sa.Double()),
        sa.Column("label_en", sa.Text(), nullable=False),
        sa.Column("label_fr", sa.Text(), nullable=False),
        sa.Column("repaid_before", sa.Integer(), nullable=False),
        sa.Column("repaid", sa.Integer(), nullable=False),
        sa.Column("defaulted_before", sa.Integer(), nullable=False),
        sa.Column("defaulted", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["model_id", "feature_id"], feature_key, name="fk_cohort_bin_feature", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("model_id", "feature_id", "bin", name=op.f("pk_cohort_bin")),
        schema="credit",
        comment="Bars of each feature's histogram, each an interval of places; the outer ones are open",
    )
    # Compressing takes longer than reading what it would save.
    op.execute("ALTER TABLE credit.cohort_member ALTER members SET STORAGE EXTERNAL")
    op.execute("ALTER TABLE credit.cohort_slice ALTER bits SET STORAGE EXTERNAL")


def _run_statistics() -> None:
    """What a night looks like as a whole, worked out once."""
