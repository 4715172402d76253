"""Features belong together: those that say the same thing, and those that are computed from one another."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrations.reporting import drop_views

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Each feature is a group and a fact of its own until the dictionary is written, which every command does."""
    op.create_table(
        "feature_group",
        sa.Column("group_id", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("label_en", sa.Text, nullable=False),
        sa.Column("label_fr", sa.Text, nullable=False),
        schema="credit",
        comment="Features that say the same thing in other words; the number is the lowest feature_id among them",
    )
    op.execute(
        "INSERT INTO credit.feature_group SELECT feature_id, name, label_en, label_fr FROM credit.feature;"
        " ALTER TABLE credit.feature"
        " ADD COLUMN group_id smallint, ADD COLUMN fact_id smallint, ADD COLUMN computed_from smallint[];"
        " UPDATE credit.feature SET group_id = feature_id, fact_id = feature_id, computed_from = '{}';"
        " ALTER TABLE credit.feature ALTER COLUMN group_id SET NOT NULL,"
        " ALTER COLUMN fact_id SET NOT NULL, ALTER COLUMN computed_from SET NOT NULL,"
        " ADD CONSTRAINT fk_feature_group_id_feature_group FOREIGN KEY (group_id)"
        " REFERENCES credit.feature_group (group_id) DEFERRABLE INITIALLY DEFERRED"
    )


def downgrade() -> None:
    """The dictionary as it was; the views come back with the next upgrade."""
    drop_views(op.get_bind())
    op.execute(
        "ALTER TABLE credit.feature DROP COLUMN group_id, DROP COLUMN fact_id, DROP COLUMN computed_from;"
        " DROP TABLE credit.feature_group"
    )
