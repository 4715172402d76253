-- Run with the rights of whoever calls them, so they read nothing but views of this schema.

CREATE FUNCTION reporting.new_customer_index() RETURNS TABLE (customer_id integer)
    LANGUAGE sql STABLE PARALLEL SAFE
    BEGIN ATOMIC
        SELECT a.customer_id FROM reporting.application AS a ORDER BY a.customer_id;
    END;
COMMENT ON FUNCTION reporting.new_customer_index() IS
    'Application numbers of the published run, in ascending order.';

CREATE FUNCTION reporting.new_customer(id integer) RETURNS SETOF reporting.application
    LANGUAGE sql STABLE PARALLEL SAFE
    BEGIN ATOMIC
        SELECT a.* FROM reporting.application AS a WHERE a.customer_id = new_customer.id;
    END;
COMMENT ON FUNCTION reporting.new_customer(integer) IS
    'The application with this number as in its file, with score and default probability; no row for an unknown '
    'number.';

CREATE FUNCTION reporting.shap_values(id integer) RETURNS TABLE (
    feature text,
    value_en text,
    contribution double precision,
    score_points double precision,
    rank smallint,
    label_en text,
    value_fr text,
    label_fr text
)
    LANGUAGE sql STABLE PARALLEL SAFE
    BEGIN ATOMIC
        SELECT e.feature, e.value_en, e.contribution, e.score_points, e.rank, e.label_en, e.value_fr, e.label_fr
        FROM reporting.customer_explanation AS e
        WHERE e.customer_id = shap_values.id
        ORDER BY e.rank;
    END;
COMMENT ON FUNCTION reporting.shap_values(integer) IS
    'Contributions (log-odds of default) and score points of the application with this number, largest first; no '
    'row for an unknown number.';

CREATE FUNCTION reporting.customer_changes(customer_ids integer[]) RETURNS SETOF reporting.score_change_part
    LANGUAGE sql STABLE PARALLEL SAFE
    BEGIN ATOMIC
        SELECT p.* FROM reporting.score_change_part AS p WHERE p.customer_id = ANY (customer_changes.customer_ids);
    END;
COMMENT ON FUNCTION reporting.customer_changes(integer[]) IS
    'What moved the scores of these applicants since the run before, see score_change_part; no row for an unknown '
    'number.';

CREATE FUNCTION reporting.customer_reasons(customer_ids integer[]) RETURNS SETOF reporting.score_reason
    LANGUAGE sql STABLE PARALLEL SAFE
    BEGIN ATOMIC
        SELECT r.* FROM reporting.score_reason AS r WHERE r.customer_id = ANY (customer_reasons.customer_ids);
    END;
COMMENT ON FUNCTION reporting.customer_reasons(integer[]) IS
    'The main reasons for these applicants, see score_reason; no row for an unknown number.';

CREATE FUNCTION reporting.scores_of(run_id integer) RETURNS SETOF reporting.run_score
    LANGUAGE sql STABLE PARALLEL SAFE
    BEGIN ATOMIC
        SELECT s.* FROM reporting.run_score AS s WHERE s.run_id = scores_of.run_id;
    END;
COMMENT ON FUNCTION reporting.scores_of(integer) IS
    'All scores of a published run, whichever it is, see run_history; no row for an unknown number.';

CREATE FUNCTION reporting.explanation_of(run_id integer, customer_ids integer[])
    RETURNS SETOF reporting.run_explanation
    LANGUAGE sql STABLE PARALLEL SAFE
    BEGIN ATOMIC
        SELECT e.*
        FROM reporting.run_explanation AS e
        WHERE e.run_id = explanation_of.run_id AND e.customer_id = ANY (explanation_of.customer_ids);
    END;
COMMENT ON FUNCTION reporting.explanation_of(integer, integer[]) IS
    'Why these applicants had their scores in a published run whose details are still kept, see run_history; no row '
    'for an unknown number.';
