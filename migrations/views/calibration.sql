CREATE VIEW reporting.calibration AS
SELECT
    m.model_id,
    c.bin,
    c.customers,
    100 * c.mean_probability AS mean_default_percent,
    100 * c.default_rate AS default_rate,
    COALESCE(m.model_id = (SELECT run.model_id FROM reporting.published_run AS run), false) AS is_published
FROM credit.model_version AS m
CROSS JOIN LATERAL jsonb_to_recordset(m.metrics -> 'calibration')
    AS c (bin integer, customers integer, mean_probability double precision, default_rate double precision);

COMMENT ON VIEW reporting.calibration IS
    'Whether a model''s probabilities are what they say: former customers in bins from the least to the most '
    'risky.';
COMMENT ON COLUMN reporting.calibration.model_id IS 'The model, see model_card.';
COMMENT ON COLUMN reporting.calibration.bin IS 'Number of the bin, 1 is the least risky.';
COMMENT ON COLUMN reporting.calibration.customers IS 'How many former customers are in the bin.';
COMMENT ON COLUMN reporting.calibration.mean_default_percent IS
    'Their mean probability of default as the model saw it, in %.';
COMMENT ON COLUMN reporting.calibration.default_rate IS 'Share of them who did default, in %.';
COMMENT ON COLUMN reporting.calibration.is_published IS 'Whether the scores that readers see are this model''s.';
