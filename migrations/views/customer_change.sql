CREATE VIEW reporting.customer_change AS
WITH previous_scale AS (
    -- As point_scale, for the run before and its model.
    SELECT
        s.customer_id,
        max(reporting.points_per_log_odds(m.base_value, s.log_odds)) AS points_per_log_odds
    FROM credit.score AS s
    JOIN credit.scoring_run AS r ON r.run_id = s.run_id
    JOIN credit.model_version AS m ON m.model_id = r.model_id
    WHERE s.run_id = (SELECT run.previous_run_id FROM reporting.published_run AS run)
    GROUP BY s.customer_id
),
change AS (
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
        w.contribution * previous_scale.points_per_log_odds AS previous_points,
        v.contribution * scale.points_per_log_odds AS points
    FROM credit.shap_value AS v
    JOIN credit.shap_value AS w ON w.customer_id = v.customer_id AND w.feature_id = v.feature_id
    JOIN reporting.point_scale AS scale ON scale.customer_id = v.customer_id
    JOIN previous_scale ON previous_scale.customer_id = v.customer_id
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
    CASE
        WHEN f.kind IN ('category', 'flag') THEN reporting.category_en(c.previous_code, previous.label_en)
        ELSE reporting.quantity_en(c.previous_number * f.display_scale, f.display_decimals, f.unit_en)
    END AS previous_value_en,
    CASE
        WHEN f.kind IN ('category', 'flag') THEN reporting.category_en(c.code, k.label_en)
        ELSE reporting.quantity_en(c.number * f.display_scale, f.display_decimals, f.unit_en)
    END AS value_en,
    CASE
        WHEN f.kind IN ('category', 'flag') THEN reporting.category_fr(c.previous_code, previous.label_fr)
        ELSE reporting.quantity_fr(c.previous_number * f.display_scale, f.display_decimals, f.unit_fr)
    END AS previous_value_fr,
    CASE
        WHEN f.kind IN ('category', 'flag') THEN reporting.category_fr(c.code, k.label_fr)
        ELSE reporting.quantity_fr(c.number * f.display_scale, f.display_decimals, f.unit_fr)
    END AS value_fr,
    c.previous_contribution,
    c.contribution,
    c.contribution - c.previous_contribution AS contribution_change,
    c.points - c.previous_points AS points_change,
    row_number() OVER (PARTITION BY c.customer_id ORDER BY abs(c.points - c.previous_points) DESC, c.feature_id)
        AS rank_of_change,
    c.previous_points,
    c.points,
    (c.number, c.code) IS DISTINCT FROM (c.previous_number, c.previous_code) AS value_changed
FROM change AS c
JOIN credit.feature AS f ON f.feature_id = c.feature_id
LEFT JOIN credit.feature_category AS k ON k.feature_id = c.feature_id AND k.code = c.code
LEFT JOIN credit.feature_category AS previous
    ON previous.feature_id = c.feature_id AND previous.code = c.previous_code;

COMMENT ON VIEW reporting.customer_change IS
    'What changed for each applicant between the run published before and the published run, one row per feature; '
    'none for an applicant who was not in both.';
COMMENT ON COLUMN reporting.customer_change.customer_id IS 'Application number.';
COMMENT ON COLUMN reporting.customer_change.feature IS
    'Column name as in the application file, or name of the derived feature, see feature.';
COMMENT ON COLUMN reporting.customer_change.label_en IS 'Short name of the feature in English.';
COMMENT ON COLUMN reporting.customer_change.label_fr IS 'Short name of the feature in French.';
COMMENT ON COLUMN reporting.customer_change.previous_run_id IS
    'Run published just before, by date and then by number, whose details are still kept.';
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
    'Points less previous points; positive raised the score. With the same model the changes of all features add '
    'up to the change of the exact score.';
COMMENT ON COLUMN reporting.customer_change.rank_of_change IS
    'Place of the change by absolute points among the applicant''s features, 1 is the largest.';
COMMENT ON COLUMN reporting.customer_change.previous_points IS
    'Contribution in the run before in score points, by that run''s model; positive raises the score.';
COMMENT ON COLUMN reporting.customer_change.points IS
    'Contribution in the published run in score points; positive raises the score.';
COMMENT ON COLUMN reporting.customer_change.value_changed IS
    'Whether the applicant''s value is another one than before.';
