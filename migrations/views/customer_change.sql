CREATE VIEW reporting.customer_change AS
WITH change AS (
    SELECT
        v.customer_id,
        v.feature_id,
        w.run_id AS previous_run_id,
        v.run_id,
        w.numeric_value AS previous_number,
        v.numeric_value AS number,
        w.category_code AS previous_code,
        v.category_code AS code,
        w.contribution::double precision AS previous_contribution,
        v.contribution::double precision AS contribution,
        (v.contribution::double precision - w.contribution) * score.points_per_log_odds AS points_change,
        (v.numeric_value, v.category_code) IS DISTINCT FROM (w.numeric_value, w.category_code) AS value_changed
    FROM credit.shap_value AS v
    JOIN credit.shap_value AS w ON w.customer_id = v.customer_id AND w.feature_id = v.feature_id
    JOIN reporting.score_change AS score ON score.customer_id = v.customer_id
    WHERE v.run_id = (SELECT p.run_id FROM credit.published_run AS p)
        AND w.run_id = (SELECT run.previous_run_id FROM reporting.published_run AS run)
)
SELECT
    c.customer_id,
    f.name AS feature,
    f.label_en,
    f.label_fr,
    c.previous_run_id,
    c.run_id,
    reporting.value_en(f.kind, c.previous_number * f.display_scale, f.display_decimals, f.unit_en, c.previous_code,
        previous.label_en) AS previous_value_en,
    reporting.value_en(f.kind, c.number * f.display_scale, f.display_decimals, f.unit_en, c.code, k.label_en)
        AS value_en,
    reporting.value_fr(f.kind, c.previous_number * f.display_scale, f.display_decimals, f.unit_fr, c.previous_code,
        previous.label_fr) AS previous_value_fr,
    reporting.value_fr(f.kind, c.number * f.display_scale, f.display_decimals, f.unit_fr, c.code, k.label_fr)
        AS value_fr,
    c.previous_contribution,
    c.contribution,
    c.contribution - c.previous_contribution AS contribution_change,
    c.points_change,
    row_number() OVER (
        PARTITION BY c.customer_id ORDER BY c.value_changed DESC, abs(c.points_change) DESC, c.feature_id
    ) AS rank_of_change,
    c.value_changed,
    CASE WHEN c.value_changed THEN 'direct' ELSE 'interaction' END AS kind,
    fact.name AS fact
FROM change AS c
JOIN credit.feature AS f ON f.feature_id = c.feature_id
JOIN credit.feature AS fact ON fact.feature_id = f.fact_id
LEFT JOIN credit.feature_category AS k ON k.feature_id = c.feature_id AND k.code = c.code
LEFT JOIN credit.feature_category AS previous
    ON previous.feature_id = c.feature_id AND previous.code = c.previous_code;

COMMENT ON VIEW reporting.customer_change IS
    'What changed for each applicant between the run published before and the published run, one row per feature; '
    'none for an applicant who was not in both. Ask for some customers: score_change_part sums it up.';
COMMENT ON COLUMN reporting.customer_change.customer_id IS 'Application number.';
COMMENT ON COLUMN reporting.customer_change.feature IS
    'Column name as in the application file, or name of the derived feature, see feature.';
COMMENT ON COLUMN reporting.customer_change.label_en IS 'Short name of the feature in English.';
COMMENT ON COLUMN reporting.customer_change.label_fr IS 'Short name of the feature in French.';
COMMENT ON COLUMN reporting.customer_change.previous_run_id IS
    'Newest run of the last date before this one whose details are still kept.';
COMMENT ON COLUMN reporting.customer_change.run_id IS 'The published run.';
COMMENT ON COLUMN reporting.customer_change.previous_value_en IS
    'Value in the run before, in words and units in English.';
COMMENT ON COLUMN reporting.customer_change.value_en IS 'Value in the published run, in words and units in English.';
COMMENT ON COLUMN reporting.customer_change.previous_value_fr IS
    'Value in the run before, in words and units in French.';
COMMENT ON COLUMN reporting.customer_change.value_fr IS 'Value in the published run, in words and units in French.';
COMMENT ON COLUMN reporting.customer_change.previous_contribution IS
    'Contribution to the log-odds of default in the run before.';
COMMENT ON COLUMN reporting.customer_change.contribution IS
    'Contribution to the log-odds of default in the published run.';
COMMENT ON COLUMN reporting.customer_change.contribution_change IS
    'Contribution less previous contribution, in log-odds of default; positive means more risk than before.';
COMMENT ON COLUMN reporting.customer_change.points_change IS
    'The same in points of the change of the score; positive raised the score, and 0 is a contribution that did not '
    'change. With the same model the changes of all features add up to the change of the exact score.';
COMMENT ON COLUMN reporting.customer_change.rank_of_change IS
    'Place among the applicant''s features: first those whose value changed, then the others, each by absolute points.';
COMMENT ON COLUMN reporting.customer_change.value_changed IS
    'Whether the applicant''s value is another one than before.';
COMMENT ON COLUMN reporting.customer_change.kind IS
    'direct where the value changed, interaction where it counts differently although it did not.';
COMMENT ON COLUMN reporting.customer_change.fact IS
    'The first of the features that are computed from one another, this one included, see feature.';
