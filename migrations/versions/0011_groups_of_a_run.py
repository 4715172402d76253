"""How a night treats groups of people is written down with the night."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from migrations.reporting import drop_views

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

BEFORE = "A run as a whole, kept for ever: means, approval rate, drift of its scores"


def upgrade() -> None:
    """Runs of before have none: their customers' ages and genders may be gone."""
    op.add_column("run_summary", sa.Column("groups", JSONB), schema="credit")
    _comment(f"{BEFORE}, groups of its customers")


def downgrade() -> None:
    """The figures are lost."""
    drop_views(op.get_bind())
    op.drop_column("run_summary", "groups", schema="credit")
    _comment(BEFORE)


def _comment(words: str) -> None:
    op.create_table_comment("run_summary", words, schema="credit")
