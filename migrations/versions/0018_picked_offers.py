"""Other terms may be an offer of the what-if: the database looks it up, and keeps its annuity with the decision."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrations.reporting import drop_views

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Whatever was recorded so far was typed, and stays so."""
    op.add_column("decision", sa.Column("annuity", sa.Double), schema="credit")
    op.create_check_constraint(
        "annuity_of_an_offer",
        "decision",
        "annuity IS NULL OR (decision = 'accept_other_terms' AND annuity > 0 AND annuity < 'Infinity')",
        schema="credit",
    )
    _make(with_offers=True)


def downgrade() -> None:
    """As in 0017; that terms were an offer is lost, and the terms stay."""
    drop_views(op.get_bind())
    _make(with_offers=False)
    op.drop_constraint(op.f("ck_decision_annuity_of_an_offer"), "decision", schema="credit")
    op.drop_column("decision", "annuity", schema="credit")


def _make(*, with_offers: bool) -> None:
    function = _FUNCTION.format(
        look_up=_LOOK_UP if with_offers else "",
        column=", annuity" if with_offers else "",
        value=", made.annuity" if with_offers else "",
    )
    # Without parameters the driver takes the text as it is: % and : mean nothing.
    op.get_bind().exec_driver_sql(function, execution_options={"no_parameters": True})


_LOOK_UP = """
    -- An offer is one of the run that is recorded as seen, or nothing is recorded.
    IF (said ->> 'offer')::boolean THEN
        SELECT o.annuity
        INTO made.annuity
        FROM credit.what_if AS o
        WHERE o.run_id = made.run_id
            AND o.customer_id = customer
            AND o.duration = (said ->> 'duration')::smallint
            AND o.amount = (said ->> 'amount')::double precision
            AND o.decision = 'accept';
        IF NOT FOUND THEN
            RAISE EXCEPTION 'no_offer' USING ERRCODE = 'CL001';
        END IF;
    ELSE
        made.annuity := NULL;
    END IF;"""
_FUNCTION = """
CREATE OR REPLACE FUNCTION credit.insert_decision(customer integer, before integer, said jsonb, who text)
    RETURNS integer
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
        SELECT COALESCE(array_agg(r.code ORDER BY r.place), '{{}}'), max(r.catalogue_id)
        INTO made.reasons, made.catalogue_id
        FROM credit.reason AS r
        WHERE r.run_id = made.run_id AND r.customer_id = customer;
    ELSE
        -- Nights go on while a review is open: what was seen then still stands.
        SELECT d.* INTO made FROM credit.decision AS d WHERE d.decision_id = before;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'not_yours' USING ERRCODE = 'CL001';
        END IF;
    END IF;{look_up}
    INSERT INTO credit.decision (
        customer_id, run_id, model_id, policy_id, recommendation, default_probability, score, band, reasons,
        catalogue_id, decision, amount, duration{column}, reason_code, note, decided_by, supersedes
    )
    VALUES (
        customer, made.run_id, made.model_id, made.policy_id, made.recommendation, made.default_probability,
        made.score, made.band, made.reasons, made.catalogue_id, said ->> 'decision',
        (said ->> 'amount')::double precision, (said ->> 'duration')::smallint{value}, said ->> 'reason_code',
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
"""
