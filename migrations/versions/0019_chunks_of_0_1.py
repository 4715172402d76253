"""The table of loaded chunks, where a database was made by 0.1.0: its first migration did not have it yet."""

from __future__ import annotations

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

# As the first migration makes it since 0.2.0; without it no night can be scored on Dask.
CHUNKS = """
CREATE TABLE IF NOT EXISTS credit.run_chunk (
    run_id integer NOT NULL
        CONSTRAINT fk_run_chunk_run_id_scoring_run REFERENCES credit.scoring_run (run_id) ON DELETE CASCADE,
    first_row integer NOT NULL,
    rows integer NOT NULL,
    CONSTRAINT pk_run_chunk PRIMARY KEY (run_id, first_row)
)
"""
COMMENT = (
    "Chunks of a distributed run that are loaded: written with the chunk''s rows, so that a retry adds none"
)


def upgrade() -> None:
    """Make it if it is not there."""
    op.execute(CHUNKS)
    op.execute(f"COMMENT ON TABLE credit.run_chunk IS '{COMMENT}'")


def downgrade() -> None:
    """It stays: the first migration takes it away."""
