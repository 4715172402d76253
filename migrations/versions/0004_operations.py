"""What operators and privacy officers did by hand."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables; no view reads them."""
    op.create_table(
        "pointer_move",
        sa.Column("move_id", sa.Integer(), sa.Identity(), nullable=False),
        sa.Column(
            "moved_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("moved_by", sa.Text(), nullable=False),
        sa.Column("from_run_id", sa.Integer(), nullable=False),
        sa.Column("to_run_id", sa.Integer(), nullable=False),
        sa.CheckConstraint("from_run_id <> to_run_id", name=op.f("ck_pointer_move_really_moved")),
        sa.ForeignKeyConstraint(
            ["from_run_id"],
            ["credit.scoring_run.run_id"],
            name=op.f("fk_pointer_move_from_run_id_scoring_run"),
        ),
        sa.ForeignKeyConstraint(
            ["to_run_id"],
            ["credit.scoring_run.run_id"],
            name=op.f("fk_pointer_move_to_run_id_scoring_run"),
        ),
        sa.PrimaryKeyConstraint("move_id", name=op.f("pk_pointer_move")),
        schema="credit",
        comment="When somebody moved readers to another run by hand, who, and from where to where",
    )
    op.create_table(
        "privacy_request",
        sa.Column("request_id", sa.Integer(), sa.Identity(), nullable=False),
        sa.Column(
            "requested_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("customer_hash", sa.Text(), nullable=False),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("kind IN ('export', 'erase')", name=op.f("ck_privacy_request_kind_known")),
        sa.PrimaryKeyConstraint("request_id", name=op.f("pk_privacy_request")),
        schema="credit",
        comment="Requests of customers about their own data; whose is told by a keyed hash of the id only",
    )
    op.create_index(
        op.f("ix_privacy_request_customer_hash"), "privacy_request", ["customer_hash"], schema="credit"
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("privacy_request", schema="credit")
    op.drop_table("pointer_move", schema="credit")
