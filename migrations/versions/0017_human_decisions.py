"""What people decide: decisions, reviews that customers ask for, and how they end; added to and never changed."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

from migrations.reporting import drop_views

revision = "0017"
down_revision = "0014"
branch_labels = None
depends_on = None

TABLES = ("decision", "review", "review_conclusion")
# The texts that people write, in which another person may be named.
TEXTS = {"decision": "note", "review": "point_of_view", "review_conclusion": "note"}

# As on every table about single customers, see 0006.
POLICY = """
CREATE POLICY own_customers ON credit.{table} USING (
    (SELECT credit.sees_everybody())
    OR {table}.customer_id IN (SELECT credit.viewer_customers())
    OR ({table}.customer_id)::bigint <@ ANY ((SELECT credit.viewer_regions())::int8multirange[])
)
"""


def upgrade() -> None:
    """Nothing has been decided yet; the policies that there are ask for four eyes and thirty days."""
    bind = op.get_bind()
    drop_views(bind)
    op.add_column(
        "policy",
        sa.Column("review_four_eyes", sa.Boolean, nullable=False, server_default=sa.true()),
        schema="credit",
    )
    op.add_column(
        "policy", sa.Column("review_days", sa.SmallInteger, nullable=False, server_default="30"), schema="credit"
    )
    op.create_check_constraint("review_days_range", "policy", "review_days BETWEEN 1 AND 365", schema="credit")
    _tables()
    # Without parameters the driver takes the text as it is: many statements, and % and : mean nothing.
    bind.exec_driver_sql(FUNCTIONS, execution_options={"no_parameters": True})
    limited = bind.scalar(sa.text("SELECT s.limited FROM credit.portfolio_state AS s"))
    for table in TABLES:
        op.execute(POLICY.format(table=table))
        if limited:
            op.execute(f"ALTER TABLE credit.{table} ENABLE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE TRIGGER never_changed BEFORE UPDATE OR DELETE ON credit.{table}"
            f" FOR EACH ROW EXECUTE FUNCTION credit.refuse_change('{TEXTS[table]}')"
        )
        op.execute(
            f"CREATE TRIGGER never_emptied BEFORE TRUNCATE ON credit.{table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION credit.refuse_change()"
        )


def downgrade() -> None:
    """What people decided is lost; the views come back with the next upgrade."""
    drop_views(op.get_bind())
    for function in (
        "record_human_act(text, integer, jsonb)",
        "insert_decision(integer, integer, jsonb, text)",
        "current_decision(integer)",
        "acts_recorded()",
        "open_review(integer)",
        "may_act_on(integer)",
    ):
        op.execute(f"DROP FUNCTION credit.{function}")
    for table in (*reversed(TABLES), "decision_ground"):
        op.drop_table(table, schema="credit")
    op.execute("DROP FUNCTION credit.refuse_change()")
    op.drop_constraint(op.f("ck_policy_review_days_range"), "policy", schema="credit")
    op.drop_column("policy", "review_days", schema="credit")
    op.drop_column("policy", "review_four_eyes", schema="credit")


def _tables() -> None:
    later: dict[str, Any] = {"deferrable": True, "initially": "DEFERRED"}
    op.create_table(
        "decision_ground",
        sa.Column("code", sa.Text, primary_key=True),
        sa.Column("place", sa.SmallInteger, nullable=False),
        sa.Column("label_en", sa.Text, nullable=False),
        sa.Column("label_fr", sa.Text, nullable=False),
        sa.Column("offered", sa.Boolean, nullable=False, server_default=sa.true()),
        schema="credit",
        comment="The grounds that a person may give for a decision, in words; one no longer offered is kept",
    )
    op.create_table(
        "decision",
        sa.Column("decision_id", sa.Integer, sa.Identity(), primary_key=True),
        sa.Column("customer_id", sa.Integer, nullable=False),
        sa.Column("run_id", sa.Integer, sa.ForeignKey("credit.scoring_run.run_id"), nullable=False),
        sa.Column("model_id", sa.Integer, nullable=False),
        sa.Column("policy_id", sa.Integer, sa.ForeignKey("credit.policy.policy_id"), nullable=False),
        sa.Column("recommendation", sa.Text, nullable=False),
        sa.Column("default_probability", sa.Double, nullable=False),
        sa.Column("score", sa.SmallInteger, nullable=False),
        sa.Column("band", sa.Text, nullable=False),
        sa.Column("reasons", ARRAY(sa.Text), nullable=False),
        sa.Column("catalogue_id", sa.Integer),
        sa.Column("decision", sa.Text, nullable=False),
        sa.Column("amount", sa.Double),
        sa.Column("duration", sa.SmallInteger),
        sa.Column("reason_code", sa.Text, sa.ForeignKey("credit.decision_ground.code"), nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("decided_by", sa.Text, nullable=False),
        sa.Column(
            "decided_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.clock_timestamp()
        ),
        sa.Column("supersedes", sa.Integer, sa.ForeignKey("credit.decision.decision_id", **later), unique=True),
        sa.CheckConstraint("decision IN ('accept', 'refuse', 'accept_other_terms')", name="decision_known"),
        sa.CheckConstraint(
            "(decision = 'accept_other_terms') = (amount IS NOT NULL AND duration IS NOT NULL)"
            " AND num_nonnulls(amount, duration) <> 1",
            name="terms_of_other_terms",
        ),
        sa.CheckConstraint("amount > 0 AND amount < 'Infinity'", name="amount_positive"),
        sa.CheckConstraint("duration BETWEEN 1 AND 600", name="duration_range"),
        sa.CheckConstraint("default_probability BETWEEN 0 AND 1", name="default_probability_range"),
        sa.CheckConstraint("length(note) <= 4000", name="note_length"),
        sa.CheckConstraint("decided_by <> ''", name="decided_by_somebody"),
        schema="credit",
        comment="What people decided, with what was on their screen; a correction supersedes, nothing is changed",
    )
    op.create_index(op.f("ix_decision_customer_id"), "decision", ["customer_id"], schema="credit")
    op.create_index(
        "uq_decision_first",
        "decision",
        ["customer_id"],
        schema="credit",
        unique=True,
        postgresql_where=sa.text("supersedes IS NULL"),
    )
    op.create_table(
        "review",
        sa.Column("review_id", sa.Integer, sa.Identity(), primary_key=True),
        sa.Column("customer_id", sa.Integer, nullable=False),
        sa.Column(
            "decision_id", sa.Integer, sa.ForeignKey("credit.decision.decision_id", **later), nullable=False
        ),
        sa.Column("point_of_view", sa.Text, nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.clock_timestamp()),
        sa.Column("recorded_by", sa.Text, nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("four_eyes", sa.Boolean, nullable=False),
        sa.CheckConstraint("length(point_of_view) BETWEEN 1 AND 8000", name="point_of_view_length"),
        sa.CheckConstraint("due_at > asked_at", name="due_later"),
        schema="credit",
        comment="Reviews of a decision that customers asked for, with their point of view in their own words",
    )
    op.create_index(op.f("ix_review_customer_id"), "review", ["customer_id"], schema="credit")
    op.create_index(op.f("ix_review_decision_id"), "review", ["decision_id"], schema="credit")
    op.create_table(
        "review_conclusion",
        sa.Column(
            "review_id",
            sa.Integer,
            sa.ForeignKey("credit.review.review_id", **later),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("customer_id", sa.Integer, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("concluded_by", sa.Text, nullable=False),
        sa.Column(
            "concluded_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.clock_timestamp()
        ),
        sa.Column(
            "decision_id", sa.Integer, sa.ForeignKey("credit.decision.decision_id", **later), unique=True
        ),
        sa.CheckConstraint("outcome IN ('upheld', 'changed')", name="outcome_known"),
        sa.CheckConstraint("(outcome = 'changed') = (decision_id IS NOT NULL)", name="changed_by_a_decision"),
        sa.CheckConstraint("length(note) BETWEEN 1 AND 4000", name="note_length"),
        schema="credit",
        comment="How reviews ended, and the decision that superseded the one that was looked at again",
    )
    op.create_index(op.f("ix_review_conclusion_customer_id"), "review_conclusion", ["customer_id"], schema="credit")


# One function is all that the login of the dashboards' pages may call. Who acts is not what the page says, but what
# the dashboards signed for this connection (0005, 0007). Problems have SQLSTATE CL001 and a word as their message,
# which the page says in its language. All functions are bound to pg_catalog and name everything else in full.
FUNCTIONS = """
CREATE FUNCTION credit.refuse_change() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- The one door, which erasing a person opens for that person and one transaction (db.people.rows.erase).
    person CONSTANT text := NULLIF(current_setting('creditlens.erased_customer', true), '');
BEGIN
    IF TG_OP = 'DELETE' AND person IS NOT NULL THEN
        IF person = OLD.customer_id::text THEN
            RETURN OLD;
        END IF;
    ELSIF TG_OP = 'UPDATE' AND person IS NOT NULL THEN
        IF to_jsonb(OLD) - TG_ARGV[0] = to_jsonb(NEW) - TG_ARGV[0]
            AND position(person IN to_jsonb(OLD) ->> TG_ARGV[0]) > 0
        THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'What people decided is never changed: rows of %.% are only added.', TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END
$$;
COMMENT ON FUNCTION credit.refuse_change() IS
    'Refuses every change of what people decided but the erasure of a person.';

CREATE FUNCTION credit.may_act_on(customer integer) RETURNS boolean
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT NOT s.limited FROM credit.portfolio_state AS s)
        OR COALESCE((credit.verified_viewer())[1] = 'all', false)
        OR customer IN (SELECT credit.viewer_customers())
        OR COALESCE(customer::bigint <@ ANY (credit.viewer_regions()), false);
END
$$;
COMMENT ON FUNCTION credit.may_act_on(integer) IS
    'Whether whoever acts through the dashboards may see the customer: the rule of row security.';

CREATE FUNCTION credit.current_decision(customer integer) RETURNS credit.decision
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT d.* FROM credit.decision AS d WHERE d.customer_id = customer ORDER BY d.decision_id DESC LIMIT 1
$$;
COMMENT ON FUNCTION credit.current_decision(integer) IS 'The decision that holds, nulls if nobody has decided.';

CREATE FUNCTION credit.open_review(customer integer) RETURNS credit.review
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT r.*
    FROM credit.review AS r
    WHERE r.customer_id = customer
        AND NOT EXISTS (SELECT FROM credit.review_conclusion AS c WHERE c.review_id = r.review_id)
    ORDER BY r.review_id DESC
    LIMIT 1
$$;
COMMENT ON FUNCTION credit.open_review(integer) IS 'The review that is not concluded, nulls if there is none.';

-- Counts, not the highest numbers: who was given a number earlier may commit later.
CREATE FUNCTION credit.acts_recorded() RETURNS bigint
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT count(*) FROM credit.decision) + (SELECT count(*) FROM credit.review)
        + (SELECT count(*) FROM credit.review_conclusion);
END
$$;
COMMENT ON FUNCTION credit.acts_recorded() IS
    'How many acts people have recorded on all customers: what the dashboards keep is good until it changes.';

CREATE FUNCTION credit.insert_decision(customer integer, before integer, said jsonb, who text) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    made credit.decision;
BEGIN
    IF NOT EXISTS (SELECT FROM credit.decision_ground AS g WHERE g.code = said ->> 'reason_code' AND g.offered) THEN
        RAISE EXCEPTION 'no_reason' USING ERRCODE = 'CL001';
    END IF;
    IF said ->> 'reason_code' = 'other' AND btrim(COALESCE(said ->> 'note', '')) = '' THEN
        RAISE EXCEPTION 'no_note' USING ERRCODE = 'CL001';
    END IF;
    SELECT p.run_id, run.model_id, run.policy_id, s.decision, s.default_probability, s.score, s.band
    INTO made.run_id, made.model_id, made.policy_id, made.recommendation, made.default_probability, made.score,
        made.band
    FROM credit.published_run AS p
    JOIN credit.scoring_run AS run ON run.run_id = p.run_id
    JOIN credit.score AS s ON s.run_id = p.run_id AND s.customer_id = customer;
    IF FOUND THEN
        -- What is recorded as seen is what was on the screen, or nothing is recorded.
        IF made.run_id IS DISTINCT FROM (said ->> 'run_id')::integer THEN
            RAISE EXCEPTION 'new_night' USING ERRCODE = 'CL001';
        END IF;
        SELECT COALESCE(array_agg(r.code ORDER BY r.place), '{}'), max(r.catalogue_id)
        INTO made.reasons, made.catalogue_id
        FROM credit.reason AS r
        WHERE r.run_id = made.run_id AND r.customer_id = customer;
    ELSE
        -- Nights go on while a review is open: what was seen then still stands.
        SELECT d.* INTO made FROM credit.decision AS d WHERE d.decision_id = before;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'not_yours' USING ERRCODE = 'CL001';
        END IF;
    END IF;
    INSERT INTO credit.decision (
        customer_id, run_id, model_id, policy_id, recommendation, default_probability, score, band, reasons,
        catalogue_id, decision, amount, duration, reason_code, note, decided_by, supersedes
    )
    VALUES (
        customer, made.run_id, made.model_id, made.policy_id, made.recommendation, made.default_probability,
        made.score, made.band, made.reasons, made.catalogue_id, said ->> 'decision',
        (said ->> 'amount')::double precision, (said ->> 'duration')::smallint, said ->> 'reason_code',
        btrim(COALESCE(said ->> 'note', '')), who, before
    )
    RETURNING decision_id INTO made.decision_id;
    RETURN made.decision_id;
EXCEPTION
    WHEN check_violation OR not_null_violation OR invalid_text_representation OR numeric_value_out_of_range THEN
        RAISE EXCEPTION 'not_whole' USING ERRCODE = 'CL001';
    WHEN unique_violation THEN
        RAISE EXCEPTION 'faster' USING ERRCODE = 'CL001';
END
$$;
COMMENT ON FUNCTION credit.insert_decision(integer, integer, jsonb, text) IS
    'A decision with what was on the screen when it was taken; its number.';

CREATE FUNCTION credit.record_human_act(act text, customer integer, said jsonb) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    who CONSTANT text := NULLIF((credit.verified_viewer())[2], '');
    held credit.decision;
    asked credit.review;
    recorded integer;
    superseding integer;
BEGIN
    IF who IS NULL THEN
        RAISE EXCEPTION 'unsigned' USING ERRCODE = 'CL001';
    END IF;
    IF NOT COALESCE(credit.may_act_on(customer), false) THEN
        RAISE EXCEPTION 'not_yours' USING ERRCODE = 'CL001';
    END IF;
    -- Who acts on the same customer at the same time waits here, and then sees what the first one did. Two first
    -- decisions have no row to wait at: of them, the index of first decisions lets one in.
    PERFORM FROM credit.decision AS d WHERE d.customer_id = customer FOR UPDATE;
    held := credit.current_decision(customer);
    asked := credit.open_review(customer);
    IF act IN ('decide', 'ask_review')
        AND COALESCE(held.decision_id, 0) IS DISTINCT FROM COALESCE((said ->> 'seen')::integer, 0)
    THEN
        RAISE EXCEPTION 'faster' USING ERRCODE = 'CL001';
    END IF;
    CASE act
        WHEN 'decide' THEN
            IF asked.review_id IS NOT NULL THEN
                RAISE EXCEPTION 'in_review' USING ERRCODE = 'CL001';
            END IF;
            RETURN credit.insert_decision(customer, held.decision_id, said, who);
        WHEN 'ask_review' THEN
            IF held.decision_id IS NULL THEN
                RAISE EXCEPTION 'nothing_decided' USING ERRCODE = 'CL001';
            END IF;
            IF asked.review_id IS NOT NULL THEN
                RAISE EXCEPTION 'in_review' USING ERRCODE = 'CL001';
            END IF;
            INSERT INTO credit.review (customer_id, decision_id, point_of_view, recorded_by, due_at, four_eyes)
            SELECT customer, held.decision_id, btrim(COALESCE(said ->> 'point_of_view', '')), who,
                clock_timestamp() + make_interval(days => p.review_days), p.review_four_eyes
            FROM credit.policy AS p
            ORDER BY p.policy_id DESC
            LIMIT 1
            RETURNING review_id INTO recorded;
            RETURN recorded;
        WHEN 'conclude' THEN
            IF asked.review_id IS NULL OR asked.review_id IS DISTINCT FROM (said ->> 'review_id')::integer THEN
                RAISE EXCEPTION 'faster' USING ERRCODE = 'CL001';
            END IF;
            -- Nobody who has decided on this customer looks at it again.
            IF asked.four_eyes AND EXISTS (
                SELECT FROM credit.decision AS d WHERE d.customer_id = customer AND d.decided_by = who
            ) THEN
                RAISE EXCEPTION 'four_eyes' USING ERRCODE = 'CL001';
            END IF;
            IF said ->> 'outcome' = 'changed' THEN
                IF (held.decision, held.amount, held.duration) IS NOT DISTINCT FROM (
                    said ->> 'decision', (said ->> 'amount')::double precision, (said ->> 'duration')::smallint
                ) THEN
                    RAISE EXCEPTION 'same_decision' USING ERRCODE = 'CL001';
                END IF;
                superseding := credit.insert_decision(customer, held.decision_id, said, who);
            END IF;
            INSERT INTO credit.review_conclusion (review_id, customer_id, outcome, note, concluded_by, decision_id)
            VALUES (
                asked.review_id, customer, said ->> 'outcome', btrim(COALESCE(said ->> 'conclusion', '')), who,
                superseding
            );
            RETURN asked.review_id;
        ELSE
            RAISE EXCEPTION 'not_whole' USING ERRCODE = 'CL001';
    END CASE;
EXCEPTION
    WHEN check_violation OR not_null_violation OR invalid_text_representation OR numeric_value_out_of_range THEN
        RAISE EXCEPTION 'not_whole' USING ERRCODE = 'CL001';
END
$$;
COMMENT ON FUNCTION credit.record_human_act(text, integer, jsonb) IS
    'Records that whoever acts through the dashboards decides, records a customer''s wish for a review, or concludes '
    'one; its number. All that the login of those pages may do.';

REVOKE ALL ON FUNCTION
    credit.refuse_change(), credit.acts_recorded(), credit.may_act_on(integer), credit.current_decision(integer),
    credit.open_review(integer), credit.insert_decision(integer, integer, jsonb, text), credit.record_human_act(text, integer, jsonb)
FROM PUBLIC;
"""
