"""Schema reporting: the views that readers are granted."""

from __future__ import annotations

from alembic import op

from migrations.reporting import drop_views

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing: views are made after the migrations, see `db.views`."""


def downgrade() -> None:
    """Drop the views."""
    drop_views(op.get_bind())
