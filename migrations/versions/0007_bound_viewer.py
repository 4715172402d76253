"""What the dashboards say of who looks is good for one connection only: nobody can use what somebody else was given."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# A parallel worker has a number of its own.
_OF_THE_BACKEND = ("verified_viewer", "sees_everybody", "viewer", "viewer_regions", "viewer_customers")


def upgrade() -> None:
    """The signature covers the backend's number too."""
    _make(bound=True)


def downgrade() -> None:
    """As in 0005."""
    _make(bound=False)


def _make(*, bound: bool) -> None:
    backend = r"\.([0-9]{1,10})" if bound else ""
    op.execute(
        _FUNCTION.format(
            pattern=rf"^((own|all)\.([0-9]{{1,12}}){backend}\.((?:[0-9a-f]{{2}})*))\.([0-9a-f]{{64}})$",
            of_another="OR part[4]::bigint <> pg_backend_pid()" if bound else "",
            name="part[5]" if bound else "part[4]",
            signature="part[6]" if bound else "part[5]",
            more=", or of another connection" if bound else "",
        )
    )
    for function in _OF_THE_BACKEND:
        op.execute(f"ALTER FUNCTION credit.{function}() PARALLEL {'RESTRICTED' if bound else 'SAFE'}")


_FUNCTION = """
CREATE OR REPLACE FUNCTION credit.verified_viewer() RETURNS text[]
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    part CONSTANT text[] := regexp_match(current_setting('creditlens.viewer', true), '{pattern}');
    expected text;
BEGIN
    IF part IS NULL OR abs(part[3]::bigint - extract(epoch FROM now())) > 300 {of_another} THEN
        RETURN NULL;
    END IF;
    SELECT encode(sha256(k.outer_pad || sha256(k.inner_pad || convert_to(part[1], 'UTF8'))), 'hex')
    INTO expected
    FROM creditlens_private.viewer_key AS k;
    IF expected IS DISTINCT FROM {signature} THEN
        RETURN NULL;
    END IF;
    RETURN ARRAY[part[2], convert_from(decode({name}, 'hex'), 'UTF8')];
END
$$;
COMMENT ON FUNCTION credit.verified_viewer() IS
    'What the dashboards say who looks, {{own or all, user name}}; nothing if it is not signed, older than five '
    'minutes{more}.';
"""
