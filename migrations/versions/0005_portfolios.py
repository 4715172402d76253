"""Which advisor has which customers, and row security that holds advisors to them once it is switched on."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrations.reporting import drop_views

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# Everything that is about single customers, with the customer's id in it.
LIMITED = {
    **dict.fromkeys(("new_customer", "score", "shap_value", "past_score", "former_customer"), "customer_id"),
    # As received, whatever it was.
    "rejected_application": "CASE WHEN {table}.customer_id ~ '^[0-9]{{1,9}}$' THEN {table}.customer_id::integer END",
}


def upgrade() -> None:
    """Make tables, functions and policies; nobody is limited before row security is switched on."""
    bind = op.get_bind()
    drop_views(bind)
    _tables()
    # Without parameters the driver takes the text as it is: many statements, and % and : mean nothing.
    bind.exec_driver_sql(FUNCTIONS, execution_options={"no_parameters": True})
    for table, customer in LIMITED.items():
        customer = f"{table}.{customer}" if customer == "customer_id" else customer.format(table=table)
        bind.exec_driver_sql(
            POLICY.format(table=table, customer=customer), execution_options={"no_parameters": True}
        )


def downgrade() -> None:
    """Drop them; everybody sees everybody again. The views come back with the next upgrade."""
    bind = op.get_bind()
    drop_views(bind)
    for table in LIMITED:
        op.execute(f"ALTER TABLE credit.{table} DISABLE ROW LEVEL SECURITY")
        op.execute(f"DROP POLICY own_customers ON credit.{table}")
    op.execute("DROP TRIGGER locate_customers ON credit.published_run")
    for function in (
        *("locate_customers()", "viewer_customers()", "viewer_regions()", "viewer()", "sees_everybody()"),
        *("verified_viewer()", "region_of(integer)"),
    ):
        op.execute(f"DROP FUNCTION credit.{function}")
    for table in ("customer_region", "advisor_portfolio", "portfolio_state"):
        op.drop_table(table, schema="credit")


def _tables() -> None:
    op.create_table(
        "portfolio_state",
        sa.Column("singleton", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("limited", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column(
            "changed_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("changed_by", sa.Text(), nullable=False),
        sa.CheckConstraint("singleton", name=op.f("ck_portfolio_state_one_row")),
        sa.PrimaryKeyConstraint("singleton", name=op.f("pk_portfolio_state")),
        schema="credit",
        comment="Whether advisors see their own customers only; the version counts every change of who sees whom",
    )
    op.execute("INSERT INTO credit.portfolio_state (limited, version, changed_by) VALUES (false, 0, 'default')")
    op.create_table(
        "advisor_portfolio",
        sa.Column("assignment_id", sa.Integer(), sa.Identity(), nullable=False),
        sa.Column("username", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.Integer()),
        sa.Column("region_rating", sa.SmallInteger()),
        sa.Column(
            "assigned_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("assigned_by", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "num_nonnulls(customer_id, region_rating) = 1", name=op.f("ck_advisor_portfolio_one_of_two")
        ),
        sa.PrimaryKeyConstraint("assignment_id", name=op.f("pk_advisor_portfolio")),
        sa.UniqueConstraint("username", "customer_id", name=op.f("uq_advisor_portfolio_username_customer_id")),
        sa.UniqueConstraint("username", "region_rating", name=op.f("uq_advisor_portfolio_username_region_rating")),
        schema="credit",
        comment="Which advisor has which customers: one by one, or all of tonight's with a rating of their region",
    )
    op.create_index(
        op.f("ix_advisor_portfolio_customer_id"), "advisor_portfolio", ["customer_id"], schema="credit"
    )
    op.create_table(
        "customer_region",
        sa.Column("customer_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("region_rating", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", name=op.f("pk_customer_region")),
        schema="credit",
        comment=(
            "The region rating of each customer of the published run, while advisors see their own customers only"
        ),
    )


# Who looks is what the dashboards say when they connect, in the setting creditlens.viewer:
# <own or all>.<seconds since 1970>.<user name in hex>.<HMAC-SHA256 of all that in hex>. Anybody may set it; only who
# knows the key can sign it. The key's two pads are in a table that no reader may see, made by db.portfolios, outside
# of the schemas that backups hold. All functions are bound to pg_catalog and name everything else in full.
FUNCTIONS = """
CREATE FUNCTION credit.verified_viewer() RETURNS text[]
    LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    part CONSTANT text[] := regexp_match(
        current_setting('creditlens.viewer', true), '^((own|all)\\.([0-9]{1,12})\\.((?:[0-9a-f]{2})*))\\.([0-9a-f]{64})$'
    );
    expected text;
BEGIN
    IF part IS NULL OR abs(part[3]::bigint - extract(epoch FROM now())) > 300 THEN
        RETURN NULL;
    END IF;
    SELECT encode(sha256(k.outer_pad || sha256(k.inner_pad || convert_to(part[1], 'UTF8'))), 'hex')
    INTO expected
    FROM creditlens_private.viewer_key AS k;
    IF expected IS DISTINCT FROM part[5] THEN
        RETURN NULL;
    END IF;
    RETURN ARRAY[part[2], convert_from(decode(part[4], 'hex'), 'UTF8')];
END
$$;
COMMENT ON FUNCTION credit.verified_viewer() IS
    'What the dashboards say who looks, {own or all, user name}; nothing if it is not signed or older than five '
    'minutes.';

CREATE FUNCTION credit.sees_everybody() RETURNS boolean
    LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- The session's role, which no SET ROLE and no function with its owner's rights changes.
    RETURN session_user <> 'creditlens_dashboard'
        OR (SELECT NOT s.limited FROM credit.portfolio_state AS s)
        OR COALESCE((credit.verified_viewer())[1] = 'all', false);
END
$$;
COMMENT ON FUNCTION credit.sees_everybody() IS
    'Whether whoever asks may see all customers: everybody but advisors who look through the dashboards.';

CREATE FUNCTION credit.viewer() RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (credit.verified_viewer())[2];
END
$$;
COMMENT ON FUNCTION credit.viewer() IS 'The user name of whoever looks through the dashboards; nothing if unsigned.';

CREATE FUNCTION credit.viewer_regions() RETURNS smallint[]
    LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (
        SELECT array_agg(p.region_rating)
        FROM credit.advisor_portfolio AS p
        WHERE p.username = (SELECT credit.viewer()) AND p.region_rating IS NOT NULL
    );
END
$$;
COMMENT ON FUNCTION credit.viewer_regions() IS
    'Region ratings whose customers are assigned to whoever looks; nothing if there are none.';

CREATE FUNCTION credit.viewer_customers() RETURNS SETOF integer
    LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp ROWS 300
AS $$
BEGIN
    RETURN QUERY
        SELECT p.customer_id
        FROM credit.advisor_portfolio AS p
        WHERE p.username = (SELECT credit.viewer()) AND p.customer_id IS NOT NULL;
END
$$;
COMMENT ON FUNCTION credit.viewer_customers() IS 'Customers assigned one by one to whoever looks.';

CREATE FUNCTION credit.region_of(id integer) RETURNS smallint
    LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp COST 1
AS $$
BEGIN
    RETURN (SELECT r.region_rating FROM credit.customer_region AS r WHERE r.customer_id = id);
END
$$;
COMMENT ON FUNCTION credit.region_of(integer) IS 'Region rating of a customer of the published run.';

REVOKE ALL ON FUNCTION
    credit.verified_viewer(), credit.sees_everybody(), credit.viewer(), credit.viewer_regions(),
    credit.viewer_customers(), credit.region_of(integer)
FROM PUBLIC;

-- With the pointer, whoever moves it and how: a customer is never seen by the region of another night.
CREATE FUNCTION credit.locate_customers() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM credit.customer_region;
    INSERT INTO credit.customer_region (customer_id, region_rating)
    SELECT a.customer_id, a.region_rating_client
    FROM credit.new_customer AS a
    WHERE a.run_id = (SELECT p.run_id FROM credit.published_run AS p)
        AND a.region_rating_client IS NOT NULL
        AND (SELECT s.limited FROM credit.portfolio_state AS s);
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION credit.locate_customers() IS
    'Puts the region ratings of the published run''s customers where row security looks them up.';
REVOKE ALL ON FUNCTION credit.locate_customers() FROM PUBLIC;
CREATE TRIGGER locate_customers AFTER INSERT OR UPDATE ON credit.published_run
    FOR EACH ROW EXECUTE FUNCTION credit.locate_customers();
"""

# What does not depend on the row stands in subqueries of its own, which run once per query, and only if needed. They
# stand at the top: inside of another subquery they would keep the query from running in parallel. What does depend on
# it is a function that costs the planner nothing, so that plans stay what they are without it.
POLICY = """
CREATE POLICY own_customers ON credit.{table} USING (
    (SELECT credit.sees_everybody())
    OR {customer} IN (SELECT credit.viewer_customers())
    OR (
        (SELECT credit.viewer_regions()) IS NOT NULL
        AND credit.region_of({customer}) = ANY ((SELECT credit.viewer_regions())::smallint[])
    )
)
"""
