"""Published runs can be withdrawn: the ledger keeps them, with the reason, and nobody reads them any more."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrations.reporting import drop_views

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A status for them, and who withdrew which run when and why."""
    op.create_table(
        "run_withdrawal",
        sa.Column("run_id", sa.Integer, sa.ForeignKey("credit.scoring_run.run_id"), primary_key=True),
        sa.Column(
            "withdrawn_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.clock_timestamp()
        ),
        sa.Column("withdrawn_by", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        schema="credit",
        comment="Published runs that nobody is to read any more: by whom, when and why",
    )
    _statuses("'running', 'published', 'refused', 'failed', 'withdrawn'", "status IN ('published', 'withdrawn')")


def downgrade() -> None:
    """Withdrawn runs have failed."""
    drop_views(op.get_bind())
    op.execute(
        "UPDATE credit.scoring_run AS r SET status = 'failed', published_at = NULL, message = w.reason"
        " FROM credit.run_withdrawal AS w WHERE w.run_id = r.run_id"
    )
    op.drop_table("run_withdrawal", schema="credit")
    _statuses("'running', 'published', 'refused', 'failed'", "status = 'published'")


def _statuses(known: str, published: str) -> None:
    for name in ("ck_scoring_run_status_known", "ck_scoring_run_published_has_time"):
        op.execute(f"ALTER TABLE credit.scoring_run DROP CONSTRAINT {name}")
    op.execute(
        f"ALTER TABLE credit.scoring_run ADD CONSTRAINT ck_scoring_run_status_known CHECK (status IN ({known})),"
        " ADD CONSTRAINT ck_scoring_run_published_has_time"
        f" CHECK (({published}) = (published_at IS NOT NULL))"
    )
