-- The customer's value on the grid of the former customers. On a grid that has the very values it is the last code
-- that is not beyond the customer, counted in people's direction; on the others the nearest.
CREATE VIEW reporting.cohort_customer AS
SELECT
    v.customer_id,
    f.feature,
    f.feature_en,
    f.feature_fr,
    f.feature_order,
    f.unit_en,
    f.unit_fr,
    f.decimals,
    v.value * f.display_scale AS customer_value,
    -- greatest() and least() would take no value for the other one.
    CASE
        WHEN v.value IS NULL THEN NULL
        ELSE greatest(-1, least(2147483647, CASE
            WHEN NOT c.exact THEN round(own.code)
            WHEN f.display_scale > 0 THEN floor(own.code + 1e-6)
            ELSE ceil(own.code - 1e-6)
        END))
    END::integer AS customer_code,
    f.feature_id
FROM (
    SELECT
        s.customer_id,
        0::smallint AS feature_id,
        100 * (1 - s.default_probability) AS value
    FROM credit.score AS s
    WHERE s.run_id = (SELECT p.run_id FROM credit.published_run AS p) AND reporting.one_customer(s.customer_id)
    UNION ALL
    SELECT s.customer_id, s.feature_id, s.numeric_value
    FROM credit.shap_value AS s
    WHERE s.run_id = (SELECT p.run_id FROM credit.published_run AS p) AND reporting.one_customer(s.customer_id)
) AS v
JOIN reporting.cohort_feature AS f ON f.feature_id = v.feature_id
JOIN credit.cohort_feature AS c
    ON c.feature_id = v.feature_id AND c.model_id = (SELECT run.model_id FROM reporting.published_run AS run)
CROSS JOIN LATERAL (
    SELECT v.value * c.per_unit - c.origin AS code
) AS own;

COMMENT ON VIEW reporting.cohort_customer IS
    'The numbers of one applicant of the published run, and the score, placed among those of former customers. '
    'Ask for one customer_id.';
COMMENT ON COLUMN reporting.cohort_customer.customer_id IS 'Application number.';
COMMENT ON COLUMN reporting.cohort_customer.feature IS 'Name of the feature, see cohort_feature.';
COMMENT ON COLUMN reporting.cohort_customer.feature_en IS 'Short name with unit in English.';
COMMENT ON COLUMN reporting.cohort_customer.feature_fr IS 'Short name with unit in French.';
COMMENT ON COLUMN reporting.cohort_customer.feature_order IS 'Place in lists, from 1.';
COMMENT ON COLUMN reporting.cohort_customer.unit_en IS 'Unit in English; empty text if there is none.';
COMMENT ON COLUMN reporting.cohort_customer.unit_fr IS 'Unit in French; empty text if there is none.';
COMMENT ON COLUMN reporting.cohort_customer.decimals IS 'How many decimals people are shown.';
COMMENT ON COLUMN reporting.cohort_customer.customer_value IS
    'The customer''s own value in the unit that people are shown; empty if missing.';
COMMENT ON COLUMN reporting.cohort_customer.customer_code IS
    'The value as former customers'' values are coded; below 0 if it is lower than all of theirs.';
COMMENT ON COLUMN reporting.cohort_customer.feature_id IS 'Number of the feature, see feature; 0 is the score.';
