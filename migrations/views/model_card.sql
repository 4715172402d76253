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
    100 - reporting.exact_score(m.base_value) AS base_default_percent
FROM credit.model_version AS m;

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
