CREATE VIEW reporting.feature_drift AS
SELECT
    s.run_id,
    s.as_of,
    f.name AS feature,
    f.label_en,
    f.label_fr,
    d.psi,
    level.level,
    level.level_en,
    level.level_fr,
    100.0::double precision * d.missing / d.customers AS missing_share,
    s.is_current,
    s.nights_ago,
    d.feature_id
FROM reporting.score_drift AS s
JOIN credit.run_feature AS d ON d.run_id = s.run_id
JOIN credit.feature AS f ON f.feature_id = d.feature_id
CROSS JOIN LATERAL (
    SELECT
        reporting.drift_level(d.psi) AS level,
        reporting.drift_level_en(d.psi) AS level_en,
        reporting.drift_level_fr(d.psi) AS level_fr
) AS level;

COMMENT ON VIEW reporting.feature_drift IS
    'How far each feature has drifted from the former customers that the model learned from, over the last 30 nights: '
    'one row per run of score_drift and feature.';
COMMENT ON COLUMN reporting.feature_drift.run_id IS 'The run, see run_history.';
COMMENT ON COLUMN reporting.feature_drift.as_of IS 'Date that the scores are of.';
COMMENT ON COLUMN reporting.feature_drift.feature IS
    'Column name as in the application file, or name of the derived feature, see feature.';
COMMENT ON COLUMN reporting.feature_drift.label_en IS 'Short name of the feature in English.';
COMMENT ON COLUMN reporting.feature_drift.label_fr IS 'Short name of the feature in French.';
COMMENT ON COLUMN reporting.feature_drift.psi IS
    'Population stability index against the former customers, over the deciles of a number or the values of a '
    'category, missing values included; 0 is alike, from 0.1 on to be watched, from 0.25 on another population.';
COMMENT ON COLUMN reporting.feature_drift.level IS 'stable, watch or shifted; empty where the index is not known.';
COMMENT ON COLUMN reporting.feature_drift.level_en IS 'The level in English, with a sign.';
COMMENT ON COLUMN reporting.feature_drift.level_fr IS 'The level in French, with a sign.';
COMMENT ON COLUMN reporting.feature_drift.missing_share IS 'Share of the customers without a value, in %.';
COMMENT ON COLUMN reporting.feature_drift.is_current IS 'Whether this is the run that readers see.';
COMMENT ON COLUMN reporting.feature_drift.nights_ago IS 'Place of the run by date, 1 is what readers see.';
COMMENT ON COLUMN reporting.feature_drift.feature_id IS 'Number of the feature, see feature.';
