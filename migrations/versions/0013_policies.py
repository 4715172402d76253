"""The lender's policy: versions that are kept, and which of them a run and a model used."""

from __future__ import annotations

import hashlib
from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from migrations.reporting import drop_views

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

BEFORE = Path(__file__).resolve().parents[1] / "policy_of_0_3.yaml"
SUMMARY = "A run as a whole, kept for ever: means, approval rate, drift of its scores, groups"
SCORES = "How many customers of a run have each score"


def upgrade() -> None:
    """Runs and models of before used the policy of before, which is written down as the first."""
    drop_views(op.get_bind())
    _create_tables()
    text = BEFORE.read_text(encoding="utf-8")
    op.get_bind().execute(
        sa.text(
            "INSERT INTO credit.policy (sha256, text, name_en, name_fr, set_by, by_program, reason)"
            " SELECT :sha256, :text, 'As up to version 0.3', 'Comme jusqu''à la version 0.3', 'creditlens',"
            " true, 'In force up to version 0.3, which kept no policies.'"
            " WHERE EXISTS (SELECT FROM credit.scoring_run) OR EXISTS (SELECT FROM credit.model_version)"
        ),
        {"sha256": hashlib.sha256(text.encode()).hexdigest(), "text": text},
    )
    op.execute(
        "INSERT INTO credit.policy_feature (policy_id, feature_id, may_score, may_be_told)"
        " SELECT p.policy_id, f.feature_id, true, true FROM credit.policy AS p, credit.feature AS f"
        " WHERE f.kind <> 'id'"
    )
    op.execute(
        "INSERT INTO credit.suggested_decision VALUES ('accept', 1, 'Accept', 'Accorder'),"
        " ('review', 2, 'Review', 'À étudier'), ('decline', 3, 'Decline', 'Refuser')"
    )
    op.execute(
        "ALTER TABLE credit.score_band ADD COLUMN policy_id integer REFERENCES credit.policy (policy_id);"
        " UPDATE credit.score_band SET policy_id = (SELECT p.policy_id FROM credit.policy AS p);"
        " DELETE FROM credit.score_band WHERE policy_id IS NULL;"
        " ALTER TABLE credit.score_band DROP COLUMN decision_en, DROP COLUMN decision_fr,"
        " ALTER COLUMN decision DROP NOT NULL, DROP CONSTRAINT pk_score_band,"
        " DROP CONSTRAINT uq_score_band_minimum_score,"
        " ADD CONSTRAINT pk_score_band PRIMARY KEY (policy_id, band),"
        " ADD CONSTRAINT uq_score_band_policy_id_minimum_score UNIQUE (policy_id, minimum_score);"
        " ALTER TABLE credit.score_band"
        " RENAME CONSTRAINT score_band_policy_id_fkey TO fk_score_band_policy_id_policy"
    )
    for table in ("scoring_run", "model_version"):
        op.execute(
            f"ALTER TABLE credit.{table} ADD COLUMN policy_id integer;"
            f" UPDATE credit.{table} SET policy_id = (SELECT p.policy_id FROM credit.policy AS p);"
            f" ALTER TABLE credit.{table} ALTER COLUMN policy_id SET NOT NULL,"
            f" ADD CONSTRAINT fk_{table}_policy_id_policy FOREIGN KEY (policy_id) REFERENCES credit.policy (policy_id)"
        )
    op.add_column("run_summary", sa.Column("decisions_moved", JSONB), schema="credit")
    _key_of_scores("run_id, score, decision")
    _comment("run_summary", f"{SUMMARY}, what policy moved")
    _comment("run_score", f"{SCORES} and decision, and the band that it meant, kept for ever")
    _comment("score_band", "A policy's bands of the score, and the decision that each of them suggests")


def downgrade() -> None:
    """The bands of the newest policy stay; how far a decision followed from figures is lost."""
    drop_views(op.get_bind())
    op.execute(
        "ALTER TABLE credit.score_band DROP CONSTRAINT pk_score_band,"
        " DROP CONSTRAINT uq_score_band_policy_id_minimum_score,"
        " ADD COLUMN decision_en text, ADD COLUMN decision_fr text;"
        " DELETE FROM credit.score_band WHERE policy_id < (SELECT max(p.policy_id) FROM credit.policy AS p);"
        " UPDATE credit.score_band SET decision = coalesce(decision, 'review');"
        " UPDATE credit.score_band AS b SET decision_en = d.label_en, decision_fr = d.label_fr"
        " FROM credit.suggested_decision AS d WHERE d.decision = b.decision;"
        " ALTER TABLE credit.score_band DROP COLUMN policy_id, ALTER COLUMN decision SET NOT NULL,"
        " ALTER COLUMN decision_en SET NOT NULL, ALTER COLUMN decision_fr SET NOT NULL,"
        " ADD CONSTRAINT pk_score_band PRIMARY KEY (band),"
        " ADD CONSTRAINT uq_score_band_minimum_score UNIQUE (minimum_score)"
    )
    op.execute(
        "DELETE FROM credit.run_score AS s USING credit.run_score AS o WHERE o.run_id = s.run_id"
        " AND o.score = s.score AND o.decision < s.decision"
    )
    _key_of_scores("run_id, score")
    op.drop_column("run_summary", "decisions_moved", schema="credit")
    op.drop_column("scoring_run", "policy_id", schema="credit")
    op.drop_column("model_version", "policy_id", schema="credit")
    for table in ("former_risk", "policy_line", "policy_feature", "policy", "suggested_decision"):
        op.drop_table(table, schema="credit")
    _comment("run_summary", f"{SUMMARY} of its customers")
    _comment("run_score", f"{SCORES}, and the band and decision that it meant, kept for ever")
    _comment("score_band", "Score bands and the decision each of them suggests")


def _create_tables() -> None:
    op.create_table(
        "suggested_decision",
        sa.Column("decision", sa.Text, primary_key=True),
        sa.Column("place", sa.SmallInteger, nullable=False),
        sa.Column("label_en", sa.Text, nullable=False),
        sa.Column("label_fr", sa.Text, nullable=False),
        schema="credit",
        comment="What can be suggested for an application, in words; the first place is the best for who asks",
    )
    op.create_table(
        "policy",
        sa.Column("policy_id", sa.Integer, sa.Identity(), primary_key=True),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("name_en", sa.Text, nullable=False),
        sa.Column("name_fr", sa.Text, nullable=False),
        sa.Column("set_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.clock_timestamp()),
        sa.Column("set_by", sa.Text, nullable=False),
        sa.Column("by_program", sa.Boolean, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        schema="credit",
        comment="Every version of the lender's policy: its file, who put it in force, when and why; the newest holds",
    )
    of_policy = sa.ForeignKey("credit.policy.policy_id")
    op.create_table(
        "policy_feature",
        sa.Column("policy_id", sa.Integer, of_policy, primary_key=True),
        sa.Column("feature_id", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("may_score", sa.Boolean, nullable=False),
        sa.Column("may_be_told", sa.Boolean, nullable=False),
        sa.Column("direction", sa.Text),
        sa.Column("because_en", sa.Text),
        sa.Column("because_fr", sa.Text),
        sa.CheckConstraint("direction IN ('rises', 'falls')", name="direction_known"),
        sa.CheckConstraint("may_score OR NOT may_be_told", name="told_may_score"),
        schema="credit",
        comment="What a policy says of each feature: whether it may score and be told, and which way its risk may go",
    )
    op.create_table(
        "policy_line",
        sa.Column("policy_id", sa.Integer, sa.ForeignKey("credit.policy.policy_id"), primary_key=True),
        sa.Column("contract_type", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("gain", sa.Double, nullable=False),
        sa.Column("loss", sa.Double, nullable=False),
        sa.Column("accept_below", sa.Double, nullable=False),
        sa.Column("decline_from", sa.Double, nullable=False),
        sa.CheckConstraint("gain > 0 AND loss > 0", name="figures_positive"),
        sa.CheckConstraint("accept_below BETWEEN 0 AND decline_from AND decline_from <= 1", name="limits_in_order"),
        schema="credit",
        comment="The lender's figures of a policy that decides by them, by code of the contract type; 0 is all others",
    )
    op.create_table(
        "former_risk",
        sa.Column(
            "model_id",
            sa.Integer,
            sa.ForeignKey("credit.model_version.model_id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("group_kind", sa.Text, primary_key=True),
        sa.Column("group_code", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("contract_type", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("risk", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("customers", sa.Integer, nullable=False),
        sa.Column("defaulted", sa.Integer, nullable=False),
        sa.CheckConstraint("group_kind IN ('all', 'gender', 'age')", name="group_kind_known"),
        sa.CheckConstraint("risk BETWEEN 0 AND 999", name="risk_range"),
        schema="credit",
        comment="Former customers by group, contract and default probability out of fold, in thousandths rounded down",
    )


def _key_of_scores(columns: str) -> None:
    op.execute(
        "ALTER TABLE credit.run_score DROP CONSTRAINT pk_run_score,"
        f" ADD CONSTRAINT pk_run_score PRIMARY KEY ({columns})"
    )


def _comment(table: str, words: str) -> None:
    op.create_table_comment(table, words, schema="credit")
