CREATE VIEW reporting.model_card AS
SELECT
    m.model_id,
    m.base_value,
    (m.metrics ->> 'auc')::double precision AS auc,
    (m.metrics ->> 'gini')::double precision AS gini,
    (m.metrics ->> 'ks')::double precision AS ks,
    (m.metrics ->> 'brier')::double precision AS brier,
    m.trained_at,
    m.stage,
    COALESCE(m.model_id = (SELECT run.model_id FROM reporting.published_run AS run), false) AS is_published,
    m.training_rows,
    100 * (m.metrics ->> 'default_rate')::double precision AS former_default_rate,
    reporting.exact_score(m.base_value) AS base_score,
    1 - reporting.exact_score(m.base_value) / 100 AS base_default_probability,
    m.parameters,
    m.metrics,
    m.training_sha256,
    m.artefact_sha256,
    (m.metrics ->> 'mean_score')::double precision AS former_mean_score,
    100 - reporting.exact_score(m.base_value) AS base_default_percent,
    c.slope AS calibration_slope,
    c.slope_low AS calibration_slope_lower,
    c.slope_high AS calibration_slope_upper,
    reporting.with_interval_en(c.slope, ARRAY[c.slope_low, c.slope_high], 2) AS slope_en,
    reporting.with_interval_fr(c.slope, ARRAY[c.slope_low, c.slope_high], 2) AS slope_fr,
    c.intercept AS calibration_intercept,
    c.intercept_low AS calibration_intercept_lower,
    c.intercept_high AS calibration_intercept_upper,
    reporting.difference_en(c.intercept, ARRAY[c.intercept_low, c.intercept_high], 2) AS intercept_en,
    reporting.difference_fr(c.intercept, ARRAY[c.intercept_low, c.intercept_high], 2) AS intercept_fr,
    100 * c.ece AS calibration_difference,
    c.recalibrated AS is_recalibrated,
    CASE WHEN c.recalibrated THEN 'yes' WHEN NOT c.recalibrated THEN 'no' ELSE '–' END AS recalibrated_en,
    CASE WHEN c.recalibrated THEN 'oui' WHEN NOT c.recalibrated THEN 'non' ELSE '–' END AS recalibrated_fr,
    exclusions.auc_cost AS exclusions_auc_cost,
    reporting.difference_en(exclusions.auc_cost, exclusions.ends, 4) AS exclusions_cost_en,
    reporting.difference_fr(exclusions.auc_cost, exclusions.ends, 4) AS exclusions_cost_fr,
    directions.auc_cost AS directions_auc_cost,
    reporting.difference_en(directions.auc_cost, directions.ends, 4) AS directions_cost_en,
    reporting.difference_fr(directions.auc_cost, directions.ends, 4) AS directions_cost_fr
FROM credit.model_version AS m
-- Models that were trained before version 0.4 have none of these.
CROSS JOIN LATERAL jsonb_to_record(COALESCE(m.metrics -> 'recalibration', '{}')) AS c (
    slope double precision, slope_low double precision, slope_high double precision,
    intercept double precision, intercept_low double precision, intercept_high double precision,
    ece double precision, recalibrated boolean
)
CROSS JOIN LATERAL (
    SELECT cost.auc_cost, ARRAY[cost.auc_cost - 1.96 * cost.auc_cost_se, cost.auc_cost + 1.96 * cost.auc_cost_se]
    FROM jsonb_to_record(COALESCE(m.metrics #> '{policy,all_exclusions}', '{}'))
        AS cost (auc_cost double precision, auc_cost_se double precision)
) AS exclusions (auc_cost, ends)
CROSS JOIN LATERAL (
    SELECT cost.auc_cost, ARRAY[cost.auc_cost - 1.96 * cost.auc_cost_se, cost.auc_cost + 1.96 * cost.auc_cost_se]
    FROM jsonb_to_record(COALESCE(m.metrics #> '{policy,directions}', '{}'))
        AS cost (auc_cost double precision, auc_cost_se double precision)
) AS directions (auc_cost, ends);

COMMENT ON VIEW reporting.model_card IS
    'Every trained model and how good it is, measured on former customers that it had not seen.';
COMMENT ON COLUMN reporting.model_card.model_id IS 'Number of the model; later models have higher numbers.';
COMMENT ON COLUMN reporting.model_card.base_value IS
    'Mean log-odds of default of the training data as the model sees them: where it starts before it looks at a '
    'customer.';
COMMENT ON COLUMN reporting.model_card.auc IS
    'Probability that a defaulter is rated riskier than a repayer; 0.5 is guessing, 1 perfect.';
COMMENT ON COLUMN reporting.model_card.gini IS '2 x AUC - 1; 0 is guessing, 1 perfect.';
COMMENT ON COLUMN reporting.model_card.ks IS
    'Largest distance between the score distributions of repayers and defaulters (Kolmogorov-Smirnov), 0 to 1.';
COMMENT ON COLUMN reporting.model_card.brier IS
    'Mean squared difference between probability and outcome (Brier score); 0 is perfect.';
COMMENT ON COLUMN reporting.model_card.trained_at IS 'When the model was trained.';
COMMENT ON COLUMN reporting.model_card.stage IS 'candidate, current (used by the next run) or retired.';
COMMENT ON COLUMN reporting.model_card.is_published IS 'Whether the scores that readers see are this model''s.';
COMMENT ON COLUMN reporting.model_card.training_rows IS 'How many former customers the model was trained on.';
COMMENT ON COLUMN reporting.model_card.former_default_rate IS 'Share of them who defaulted, in %.';
COMMENT ON COLUMN reporting.model_card.base_score IS
    'Starting point: the score, before rounding, at the mean log-odds of the training data (base value), where the '
    'model is before it looks at a customer; 0 to 100. It is not the mean score of former customers.';
COMMENT ON COLUMN reporting.model_card.base_default_probability IS
    'The base value as a probability of default, 0 to 1.';
COMMENT ON COLUMN reporting.model_card.parameters IS 'Parameters that it was trained with (JSON).';
COMMENT ON COLUMN reporting.model_card.metrics IS
    'All that was measured of it (JSON); rates, shares and probabilities in it are 0 to 1.';
COMMENT ON COLUMN reporting.model_card.training_sha256 IS 'SHA-256 of the file or files that it was trained on.';
COMMENT ON COLUMN reporting.model_card.artefact_sha256 IS 'SHA-256 of the stored model.';
COMMENT ON COLUMN reporting.model_card.former_mean_score IS
    'Mean score before rounding of the former customers, each scored by a model that never saw them.';
COMMENT ON COLUMN reporting.model_card.base_default_percent IS 'The same probability in %.';
COMMENT ON COLUMN reporting.model_card.calibration_slope IS
    'Slope of the outcomes'' log-odds over those that the model said, on customers it had not seen: 1 is right, under '
    '1 the probabilities are too extreme. As found, before any recalibration.';
COMMENT ON COLUMN reporting.model_card.calibration_slope_lower IS
    'Lower end of the slope''s 95 % interval, as a factor of log-odds.';
COMMENT ON COLUMN reporting.model_card.calibration_slope_upper IS
    'Upper end of the slope''s 95 % interval, as a factor of log-odds.';
COMMENT ON COLUMN reporting.model_card.slope_en IS 'Slope with its interval in English.';
COMMENT ON COLUMN reporting.model_card.slope_fr IS 'Slope with its interval in French.';
COMMENT ON COLUMN reporting.model_card.calibration_intercept IS
    'What is to be added to log-odds beside that slope: 0 is right. As found, before any recalibration.';
COMMENT ON COLUMN reporting.model_card.calibration_intercept_lower IS
    'Lower end of the intercept''s 95 % interval, in log-odds.';
COMMENT ON COLUMN reporting.model_card.calibration_intercept_upper IS
    'Upper end of the intercept''s 95 % interval, in log-odds.';
COMMENT ON COLUMN reporting.model_card.intercept_en IS 'Intercept with its interval in English.';
COMMENT ON COLUMN reporting.model_card.intercept_fr IS 'Intercept with its interval in French.';
COMMENT ON COLUMN reporting.model_card.calibration_difference IS
    'How far probability and default rate are apart on average over ten groups of equal size (expected calibration '
    'error), in percentage points, after recalibration where there was one.';
COMMENT ON COLUMN reporting.model_card.is_recalibrated IS
    'Whether the model''s log-odds were corrected by that slope and intercept.';
COMMENT ON COLUMN reporting.model_card.recalibrated_en IS 'The same in English: yes or no.';
COMMENT ON COLUMN reporting.model_card.recalibrated_fr IS 'The same in French.';
COMMENT ON COLUMN reporting.model_card.exclusions_auc_cost IS
    'AUC that is lost because of the features that the policy keeps out of the score; negative if none is.';
COMMENT ON COLUMN reporting.model_card.exclusions_cost_en IS 'This loss with its 95 % interval in English.';
COMMENT ON COLUMN reporting.model_card.exclusions_cost_fr IS 'This loss with its 95 % interval in French.';
COMMENT ON COLUMN reporting.model_card.directions_auc_cost IS
    'AUC that is lost because of the directions that the policy sets; negative if none is.';
COMMENT ON COLUMN reporting.model_card.directions_cost_en IS 'This loss with its 95 % interval in English.';
COMMENT ON COLUMN reporting.model_card.directions_cost_fr IS 'This loss with its 95 % interval in French.';
