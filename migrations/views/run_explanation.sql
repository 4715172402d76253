CREATE VIEW reporting.run_explanation AS
SELECT
    v.run_id,
    r.as_of,
    v.customer_id,
    f.name AS feature,
    f.label_en,
    f.label_fr,
    reporting.value_en(f.kind, v.numeric_value * f.display_scale, f.display_decimals, f.unit_en, v.category_code,
        k.label_en) AS value_en,
    reporting.value_fr(f.kind, v.numeric_value * f.display_scale, f.display_decimals, f.unit_fr, v.category_code,
        k.label_fr) AS value_fr,
    v.contribution::double precision AS contribution,
    v.contribution * reporting.points_per_log_odds(m.base_value, s.log_odds) AS score_points,
    v.rank,
    CASE
        WHEN v.contribution < 0 THEN 'raises'
        WHEN v.contribution > 0 THEN 'lowers'
        ELSE 'none'
    END AS direction,
    g.name AS feature_group,
    g.label_en AS group_label_en,
    g.label_fr AS group_label_fr,
    r.model_id
FROM credit.shap_value AS v
JOIN credit.score AS s ON s.run_id = v.run_id AND s.customer_id = v.customer_id
JOIN credit.scoring_run AS r ON r.run_id = v.run_id AND r.status = 'published' AND r.retired_at IS NULL
JOIN credit.model_version AS m ON m.model_id = r.model_id
JOIN credit.feature AS f ON f.feature_id = v.feature_id
JOIN credit.feature_group AS g ON g.group_id = f.group_id
LEFT JOIN credit.feature_category AS k ON k.feature_id = v.feature_id AND k.code = v.category_code;

COMMENT ON VIEW reporting.run_explanation IS
    'Why an applicant had the score of any published run whose details are still kept, one row per run, applicant and '
    'feature. The base score of the run plus the points of all features is the exact score, see run_score. Ask for a '
    'run_id and some customers.';
COMMENT ON COLUMN reporting.run_explanation.run_id IS 'The run, see run_history.';
COMMENT ON COLUMN reporting.run_explanation.as_of IS 'Date that the score is of.';
COMMENT ON COLUMN reporting.run_explanation.customer_id IS 'Application number.';
COMMENT ON COLUMN reporting.run_explanation.feature IS
    'Column name as in the application file, or name of the derived feature, see feature.';
COMMENT ON COLUMN reporting.run_explanation.label_en IS 'Short name of the feature in English.';
COMMENT ON COLUMN reporting.run_explanation.label_fr IS 'Short name of the feature in French.';
COMMENT ON COLUMN reporting.run_explanation.value_en IS 'The applicant''s value in words and units in English.';
COMMENT ON COLUMN reporting.run_explanation.value_fr IS 'The applicant''s value in words and units in French.';
COMMENT ON COLUMN reporting.run_explanation.contribution IS
    'Contribution (SHAP value) to the log-odds of default; positive means more risk.';
COMMENT ON COLUMN reporting.run_explanation.score_points IS
    'Contribution in score points; positive raises the score.';
COMMENT ON COLUMN reporting.run_explanation.rank IS
    'Place of the contribution by absolute size among the applicant''s features, 1 is the largest.';
COMMENT ON COLUMN reporting.run_explanation.direction IS
    'What the feature does to the score: raises, lowers or none.';
COMMENT ON COLUMN reporting.run_explanation.feature_group IS
    'Name of the group of features that say the same thing in other words, see feature.';
COMMENT ON COLUMN reporting.run_explanation.group_label_en IS 'Short name of the group in English.';
COMMENT ON COLUMN reporting.run_explanation.group_label_fr IS 'Short name of the group in French.';
COMMENT ON COLUMN reporting.run_explanation.model_id IS 'Model that gave the score, see model_card.';
