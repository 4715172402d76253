CREATE VIEW reporting.customer_explanation AS
SELECT
    v.customer_id,
    f.name AS feature,
    f.label_en,
    CASE
        WHEN f.kind IN ('category', 'flag') THEN reporting.category_en(v.category_code, k.label_en)
        ELSE reporting.quantity_en(v.numeric_value * f.display_scale, f.display_decimals, f.unit_en)
    END AS value_en,
    v.contribution::double precision AS contribution,
    v.contribution * scale.points_per_log_odds AS score_points,
    v.rank,
    CASE
        WHEN v.contribution < 0 THEN 'raises'
        WHEN v.contribution > 0 THEN 'lowers'
        ELSE 'none'
    END AS direction,
    f.label_fr,
    CASE
        WHEN f.kind IN ('category', 'flag') THEN reporting.category_fr(v.category_code, k.label_fr)
        ELSE reporting.quantity_fr(v.numeric_value * f.display_scale, f.display_decimals, f.unit_fr)
    END AS value_fr,
    f.description_en,
    f.description_fr,
    v.numeric_value * f.display_scale AS numeric_value,
    f.unit_en,
    f.unit_fr,
    v.numeric_value AS raw_value,
    v.category_code,
    k.value AS category_value,
    f.actionable,
    f.kind,
    v.feature_id,
    run.run_id,
    run.as_of,
    g.name AS feature_group,
    g.label_en AS group_label_en,
    g.label_fr AS group_label_fr
FROM credit.shap_value AS v
LEFT JOIN reporting.point_scale AS scale ON scale.customer_id = v.customer_id
CROSS JOIN reporting.published_run AS run
JOIN credit.feature AS f ON f.feature_id = v.feature_id
JOIN credit.feature_group AS g ON g.group_id = f.group_id
LEFT JOIN credit.feature_category AS k ON k.feature_id = v.feature_id AND k.code = v.category_code
WHERE v.run_id = (SELECT p.run_id FROM credit.published_run AS p);

COMMENT ON VIEW reporting.customer_explanation IS
    'Why each applicant of the published run has this score: one row per applicant and feature. The base score '
    'plus the points of all features is the exact score.';
COMMENT ON COLUMN reporting.customer_explanation.customer_id IS 'Application number.';
COMMENT ON COLUMN reporting.customer_explanation.feature IS
    'Column name as in the application file, or name of the derived feature, see feature.';
COMMENT ON COLUMN reporting.customer_explanation.label_en IS 'Short name of the feature in English.';
COMMENT ON COLUMN reporting.customer_explanation.value_en IS
    'The applicant''s value in words and units in English; "not given" if missing, "unknown" if not in the '
    'dictionary.';
COMMENT ON COLUMN reporting.customer_explanation.contribution IS
    'Contribution (SHAP value) to the log-odds of default; positive means more risk.';
COMMENT ON COLUMN reporting.customer_explanation.score_points IS
    'Contribution in score points; positive raises the score.';
COMMENT ON COLUMN reporting.customer_explanation.rank IS
    'Place of the contribution by absolute size among the applicant''s features, 1 is the largest.';
COMMENT ON COLUMN reporting.customer_explanation.direction IS
    'What the feature does to the score: raises, lowers or none.';
COMMENT ON COLUMN reporting.customer_explanation.label_fr IS 'Short name of the feature in French.';
COMMENT ON COLUMN reporting.customer_explanation.value_fr IS
    'The applicant''s value in words and units in French; "non renseigné" if missing, "inconnu" if not in the '
    'dictionary.';
COMMENT ON COLUMN reporting.customer_explanation.description_en IS
    'What the feature means, one sentence in English.';
COMMENT ON COLUMN reporting.customer_explanation.description_fr IS
    'What the feature means, one sentence in French.';
COMMENT ON COLUMN reporting.customer_explanation.numeric_value IS
    'The value as a number in the unit that people are shown (unit_en); empty if missing or a category.';
COMMENT ON COLUMN reporting.customer_explanation.unit_en IS
    'Unit of numeric_value in English; empty text if there is none.';
COMMENT ON COLUMN reporting.customer_explanation.unit_fr IS
    'Unit of numeric_value in French; empty text if there is none.';
COMMENT ON COLUMN reporting.customer_explanation.raw_value IS
    'The value as a number in the unit of the application file; empty if missing or a category.';
COMMENT ON COLUMN reporting.customer_explanation.category_code IS
    'Code of the category or flag, see category; 0 of a category is a value that the dictionary does not know; '
    'empty if missing or a number.';
COMMENT ON COLUMN reporting.customer_explanation.category_value IS
    'Category or flag as written in the application file; empty if missing, unknown or a number.';
COMMENT ON COLUMN reporting.customer_explanation.actionable IS
    'Whether applicants can soundly change the value themselves before they apply again.';
COMMENT ON COLUMN reporting.customer_explanation.kind IS 'What sort of value it is, see feature.';
COMMENT ON COLUMN reporting.customer_explanation.feature_id IS 'Number of the feature, see feature.';
COMMENT ON COLUMN reporting.customer_explanation.run_id IS 'Run that the row is from, see run_history.';
COMMENT ON COLUMN reporting.customer_explanation.as_of IS 'Date that the score is of.';
COMMENT ON COLUMN reporting.customer_explanation.feature_group IS
    'Name of the group of features that say the same thing in other words, see explanation_group.';
COMMENT ON COLUMN reporting.customer_explanation.group_label_en IS 'Short name of the group in English.';
COMMENT ON COLUMN reporting.customer_explanation.group_label_fr IS 'Short name of the group in French.';
