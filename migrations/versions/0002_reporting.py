"""Schema reporting: the views that readers are granted."""

from __future__ import annotations

from alembic import op

from migrations.reporting import create_views, drop_views

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the views."""
    create_views(op.get_bind())


def downgrade() -> None:
    """Drop the views."""
    drop_views(op.get_bind())
