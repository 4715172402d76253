"""The numbers of applications beside their contributions in double precision: readers see the file's number."""

from __future__ import annotations

from alembic import op

from migrations.reporting import drop_views

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Rewrite the column, with the fewest digits that earlier numbers can have stood for."""
    _change("double precision")


def downgrade() -> None:
    """Single precision again."""
    _change("real")


def _change(kind: str) -> None:
    drop_views(op.get_bind())
    op.execute("SET LOCAL extra_float_digits = 1")
    # By way of its text: 0.1 in single precision is 0.1 in double precision then, and not 0.10000000149.
    op.execute(
        f"ALTER TABLE credit.shap_value ALTER COLUMN numeric_value TYPE {kind} USING numeric_value::text::{kind}"
    )
