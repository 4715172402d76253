"""Row security asks for the dashboards' role by its name in this database: each database may have names of its own."""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The name stands beside the key; until now there was one name for all databases of a server."""
    op.execute(
        """
        DO $$ BEGIN
            IF EXISTS (SELECT FROM pg_tables WHERE schemaname = 'creditlens_private' AND tablename = 'viewer_key') THEN
                ALTER TABLE creditlens_private.viewer_key ADD COLUMN IF NOT EXISTS dashboard_role text;
                UPDATE creditlens_private.viewer_key SET dashboard_role = 'creditlens_dashboard'
                WHERE dashboard_role IS NULL;
            END IF;
        END $$
        """
    )
    op.execute(_SEES_EVERYBODY)


def downgrade() -> None:
    """As in 0005; the column stays, and nobody reads it."""
    op.execute(_SEES_EVERYBODY_BEFORE)


# A name that is missing or that nobody has limits everybody: a mistake shows too little, never too much.
_SEES_EVERYBODY = """
CREATE OR REPLACE FUNCTION credit.sees_everybody() RETURNS boolean
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF (SELECT NOT s.limited FROM credit.portfolio_state AS s) THEN
        RETURN true;
    END IF;
    -- The session's role, which no SET ROLE and no function with its owner's rights changes.
    RETURN COALESCE(session_user <> (SELECT k.dashboard_role FROM creditlens_private.viewer_key AS k), false)
        OR COALESCE((credit.verified_viewer())[1] = 'all', false);
END
$$
"""

_SEES_EVERYBODY_BEFORE = """
CREATE OR REPLACE FUNCTION credit.sees_everybody() RETURNS boolean
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN session_user <> 'creditlens_dashboard'
        OR (SELECT NOT s.limited FROM credit.portfolio_state AS s)
        OR COALESCE((credit.verified_viewer())[1] = 'all', false);
END
$$
"""
