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
