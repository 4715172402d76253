"""The customers of a region as ranges of numbers: row security searches them in memory, for each of all rows."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import INT8MULTIRANGE

from migrations.reporting import drop_views

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_AS_RECEIVED = "rejected_application.customer_id"
LIMITED = {
    **{table: f"{table}.customer_id" for table in ("new_customer", "score", "shap_value", "past_score")},
    "former_customer": "former_customer.customer_id",
    "rejected_application": f"CASE WHEN {_AS_RECEIVED} ~ '^[0-9]{{1,9}}$' THEN {_AS_RECEIVED}::integer END",
}


def upgrade() -> None:
    """Make the table of regions, its functions and the policies anew; who sees whom stays."""
    _make_anew(
        sa.Column("region_rating", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("customers", INT8MULTIRANGE(), nullable=False),
        sa.PrimaryKeyConstraint("region_rating", name=op.f("pk_customer_region")),
        comment=(
            "The customers of the published run by the rating of their region, as ranges of numbers, while advisors"
            " see their own customers only"
        ),
        functions=FUNCTIONS,
        policy=POLICY,
    )


def downgrade() -> None:
    """A row per customer again; the views come back with the next upgrade."""
    _make_anew(
        sa.Column("customer_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("region_rating", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", name=op.f("pk_customer_region")),
        comment=(
            "The region rating of each customer of the published run, while advisors see their own customers only"
        ),
        functions=FUNCTIONS_BEFORE,
        policy=POLICY_BEFORE,
    )


def _make_anew(*columns: sa.schema.SchemaItem, comment: str, functions: str, policy: str) -> None:
    bind = op.get_bind()
    drop_views(bind)
    for table in LIMITED:
        op.execute(f"DROP POLICY own_customers ON credit.{table}")
    op.execute("DROP TRIGGER locate_customers ON credit.published_run")
    for function in ("locate_customers()", "viewer_regions()", "region_of(integer)"):
        op.execute(f"DROP FUNCTION IF EXISTS credit.{function}")
    op.drop_table("customer_region", schema="credit")
    op.create_table("customer_region", *columns, schema="credit", comment=comment)
    # Without parameters the driver takes the text as it is: many statements, and % and : mean nothing.
    bind.exec_driver_sql(functions, execution_options={"no_parameters": True})
    for table, customer in LIMITED.items():
        bind.exec_driver_sql(
            policy.format(table=table, customer=customer), execution_options={"no_parameters": True}
        )
    # The pointer stays; what hangs on it is worked out anew.
    op.execute("UPDATE credit.published_run SET run_id = run_id")


FUNCTIONS = """
CREATE FUNCTION credit.viewer_regions() RETURNS int8multirange[]
    LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- An array: a value as it is stored would be unpacked again for every row.
    RETURN (
        SELECT array_agg(r.customers)
        FROM credit.advisor_portfolio AS p
        JOIN credit.customer_region AS r ON r.region_rating = p.region_rating
        WHERE p.username = (SELECT credit.viewer())
    );
END
$$;
COMMENT ON FUNCTION credit.viewer_regions() IS
    'Customers of each region assigned to whoever looks, as ranges of numbers; nothing if there are none.';

-- With the pointer, whoever moves it and how: a customer is never seen by the region of another night.
CREATE FUNCTION credit.locate_customers() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM credit.customer_region;
    INSERT INTO credit.customer_region (region_rating, customers)
    SELECT a.region_rating_client, range_agg(int8range(a.customer_id, a.customer_id, '[]'))
    FROM credit.new_customer AS a
    WHERE a.run_id = (SELECT p.run_id FROM credit.published_run AS p)
        AND a.region_rating_client IS NOT NULL
        AND (SELECT s.limited FROM credit.portfolio_state AS s)
    GROUP BY a.region_rating_client;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION credit.locate_customers() IS
    'Puts the published run''s customers by the rating of their region where row security looks them up.';

REVOKE ALL ON FUNCTION credit.viewer_regions(), credit.locate_customers() FROM PUBLIC;
CREATE TRIGGER locate_customers AFTER INSERT OR UPDATE ON credit.published_run
    FOR EACH ROW EXECUTE FUNCTION credit.locate_customers();
"""

# What does not depend on the row stands in subqueries of its own, which run once per query, and only if needed. They
# stand at the top: inside of another subquery they would keep the query from running in parallel. What does depend on
# it costs the planner nothing, so that plans stay what they are without it, and next to nothing for each of all rows:
# no function that asks a table, but a search in ranges that are in memory. They are of bigint: the end of a range is
# the number after its last one, and the last integer has none.
POLICY = """
CREATE POLICY own_customers ON credit.{table} USING (
    (SELECT credit.sees_everybody())
    OR {customer} IN (SELECT credit.viewer_customers())
    OR ({customer})::bigint <@ ANY ((SELECT credit.viewer_regions())::int8multirange[])
)
"""

FUNCTIONS_BEFORE = """
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

CREATE FUNCTION credit.region_of(id integer) RETURNS smallint
    LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp COST 1
AS $$
BEGIN
    RETURN (SELECT r.region_rating FROM credit.customer_region AS r WHERE r.customer_id = id);
END
$$;

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

REVOKE ALL ON FUNCTION credit.viewer_regions(), credit.region_of(integer), credit.locate_customers() FROM PUBLIC;
CREATE TRIGGER locate_customers AFTER INSERT OR UPDATE ON credit.published_run
    FOR EACH ROW EXECUTE FUNCTION credit.locate_customers();
"""

POLICY_BEFORE = """
CREATE POLICY own_customers ON credit.{table} USING (
    (SELECT credit.sees_everybody())
    OR {customer} IN (SELECT credit.viewer_customers())
    OR (
        (SELECT credit.viewer_regions()) IS NOT NULL
        AND credit.region_of({customer}) = ANY ((SELECT credit.viewer_regions())::smallint[])
    )
)
"""
