"""What the dashboards ask for: cohorts of former customers, statistics of each run."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.reporting import drop_views

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables; the views come with a later revision."""
    drop_views(op.get_bind())
    _cohorts()
    _run_statistics()


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


def _run_statistics() -> None:
    """What a night looks like as a whole, worked out once."""
    bind = op.get_bind()
    op.create_table(
        "feature_bin",
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("feature_id", sa.SmallInteger(), nullable=False),
        sa.Column("bin", sa.SmallInteger(), nullable=False),
        sa.Column("minimum", sa.Double()),
        sa.Column("maximum", sa.Double()),
        sa.Column("customers", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["model_id"],
            ["credit.model_version.model_id"],
            name=op.f("fk_feature_bin_model_id_model_version"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("model_id", "feature_id", "bin", name=op.f("pk_feature_bin")),
        schema="credit",
        comment="Bins of a feature's values, and how many of the model's former customers were in each; -1 is missing",
    )
    _of_a_run(
        "run_summary",
        [],
        sa.Column("customers", sa.Integer(), nullable=False),
        sa.Column("mean_score", sa.Double(), nullable=False),
        sa.Column("mean_default_probability", sa.Double(), nullable=False),
        sa.Column("approval_rate", sa.Double(), nullable=False),
        sa.Column("score_psi", sa.Double()),
        sa.CheckConstraint(
            "mean_default_probability BETWEEN 0 AND 1", name=op.f("ck_run_summary_mean_default_probability_range")
        ),
        sa.CheckConstraint("approval_rate BETWEEN 0 AND 1", name=op.f("ck_run_summary_approval_rate_range")),
        comment="A run as a whole, kept for ever: means, approval rate, drift of its scores",
    )
    _of_a_run(
        "run_score",
        ["score"],
        sa.Column("score", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("band", sa.Text(), nullable=False),
        sa.Column("decision", sa.Text(), nullable=False),
        sa.Column("customers", sa.Integer(), nullable=False),
        sa.CheckConstraint("score BETWEEN 0 AND 100", name=op.f("ck_run_score_score_range")),
        comment="How many customers of a run have each score, and the band and decision that it meant, kept for ever",
    )
    _of_a_run(
        "run_feature",
        ["feature_id"],
        sa.Column("feature_id", sa.SmallInteger(), nullable=False),
        sa.Column("customers", sa.Integer(), nullable=False),
        sa.Column("missing", sa.Integer(), nullable=False),
        sa.Column("unknown", sa.Integer(), nullable=False),
        sa.Column("mean_absolute_contribution", sa.Double(), nullable=False),
        sa.Column("mean_contribution", sa.Double(), nullable=False),
        sa.Column("mean_absolute_points", sa.Double(), nullable=False),
        sa.Column("psi", sa.Double()),
        sa.Column("correlation", sa.Double()),
        sa.CheckConstraint("correlation BETWEEN -1 AND 1", name=op.f("ck_run_feature_correlation_range")),
        comment="Each feature over a run, kept for ever: missing values, importance, drift, direction",
    )
    _of_a_run(
        "run_feature_bin",
        ["feature_id", "bin"],
        sa.Column("feature_id", sa.SmallInteger(), nullable=False),
        sa.Column("bin", sa.SmallInteger(), nullable=False),
        sa.Column("customers", sa.Integer(), nullable=False),
        sa.Column("mean_contribution", sa.Double(), nullable=False),
        sa.Column("mean_points", sa.Double(), nullable=False),
        sa.Column("points_deviation", sa.Double(), nullable=False),
        comment="Each bin of a feature over a run, kept for ever: how many customers, and what it did to their scores",
    )
    for statement in (RECOUNT_SCORES, RECOUNT_SUMMARIES, RECOUNT_FEATURES, RECOUNT_FORMER):
        bind.exec_driver_sql(statement)


def _of_a_run(name: str, keys: list[str], *columns: sa.schema.SchemaItem, comment: str) -> None:
    op.create_table(
        name,
        sa.Column("run_id", sa.Integer(), nullable=False),
        *columns,
        sa.ForeignKeyConstraint(
            ["run_id"],
            ["credit.scoring_run.run_id"],
            name=op.f(f"fk_{name}_run_id_scoring_run"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("run_id", *keys, name=op.f(f"pk_{name}")),
        schema="credit",
        comment=comment,
    )


# Runs from before there were statistics: what can be counted from what is kept of them. Bins and drift need the
# model's bins, which models from before do not have, and stay empty.
RECOUNT_SCORES = """
INSERT INTO credit.run_score (run_id, score, band, decision, customers)
SELECT s.run_id, s.score, min(s.band), min(s.decision), count(*)
FROM (
    SELECT k.run_id, k.score, k.band, k.decision
    FROM credit.score AS k
    JOIN credit.scoring_run AS own ON own.run_id = k.run_id AND own.retired_at IS NULL
    UNION ALL
    SELECT p.run_id, p.score, p.band, p.decision FROM credit.past_score AS p
) AS s
JOIN credit.scoring_run AS r ON r.run_id = s.run_id AND r.status = 'published'
GROUP BY s.run_id, s.score
"""

RECOUNT_SUMMARIES = """
INSERT INTO credit.run_summary (run_id, customers, mean_score, mean_default_probability, approval_rate)
SELECT
    s.run_id,
    count(*),
    100 * (1 - avg(s.default_probability)),
    avg(s.default_probability),
    count(*) FILTER (WHERE s.decision = 'accept')::double precision / count(*)
FROM (
    SELECT k.run_id, k.default_probability, k.decision
    FROM credit.score AS k
    JOIN credit.scoring_run AS own ON own.run_id = k.run_id AND own.retired_at IS NULL
    UNION ALL
    SELECT p.run_id, p.default_probability, p.decision FROM credit.past_score AS p
) AS s
JOIN credit.scoring_run AS r ON r.run_id = s.run_id AND r.status = 'published'
GROUP BY s.run_id
"""

# Of the run that readers see; its points as reporting.points_per_log_odds has them.
RECOUNT_FEATURES = """
INSERT INTO credit.run_feature (
    run_id, feature_id, customers, missing, unknown, mean_absolute_contribution, mean_contribution, mean_absolute_points
)
SELECT
    v.run_id,
    v.feature_id,
    count(*),
    count(*) FILTER (WHERE v.numeric_value IS NULL AND v.category_code IS NULL),
    count(*) FILTER (WHERE v.category_code = 0 AND f.kind = 'category'),
    avg(abs(v.contribution)),
    avg(v.contribution),
    avg(abs(v.contribution * scale.points))
FROM credit.shap_value AS v
JOIN credit.feature AS f ON f.feature_id = v.feature_id
JOIN (
    SELECT
        s.customer_id,
        CASE
            WHEN abs(s.log_odds - m.base_value) < 1e-9 THEN -100 / (1 + exp(m.base_value)) / (1 + exp(-m.base_value))
            ELSE 100 * (1 / (1 + exp(least(s.log_odds, 700))) - 1 / (1 + exp(m.base_value)))
                / (s.log_odds - m.base_value)
        END AS points
    FROM credit.published_run AS p
    JOIN credit.scoring_run AS r ON r.run_id = p.run_id
    JOIN credit.model_version AS m ON m.model_id = r.model_id
    JOIN credit.score AS s ON s.run_id = p.run_id
) AS scale ON scale.customer_id = v.customer_id
WHERE v.run_id = (SELECT p.run_id FROM credit.published_run AS p)
GROUP BY v.run_id, v.feature_id
"""

RECOUNT_FORMER = """
UPDATE credit.model_version AS m
SET metrics = m.metrics || jsonb_build_object('mean_score', former.mean_score, 'scores', former.scores)
FROM (
    SELECT
        g.model_id,
        sum(g.total) / sum(g.customers) AS mean_score,
        jsonb_agg(
            jsonb_build_object('score', g.score, 'customers', g.customers, 'defaulted', g.defaulted) ORDER BY g.score
        ) AS scores
    FROM (
        SELECT
            c.model_id,
            c.score,
            count(*) AS customers,
            sum(c.target) AS defaulted,
            sum(100 * (1 - c.default_probability::double precision)) AS total
        FROM credit.former_customer AS c
        GROUP BY c.model_id, c.score
    ) AS g
    GROUP BY g.model_id
) AS former
WHERE former.model_id = m.model_id
"""
