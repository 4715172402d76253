CREATE VIEW reporting.feature_drift AS
WITH night AS (
    -- Bins are a model's: nights of another one cannot be compared.
    SELECT s.run_id, s.nights_ago, count(*) OVER () - 1 AS before
    FROM reporting.score_drift AS s
    WHERE s.nights_ago <= 8 AND s.model_id = (SELECT run.model_id FROM reporting.published_run AS run)
),
recent AS (
    SELECT x.feature_id, sum(reporting.stability_term(x.own, x.before)) AS psi
    FROM (
        SELECT
            b.feature_id,
            b.bin,
            COALESCE(sum(b.customers::double precision / f.customers) FILTER (WHERE n.nights_ago = 1), 0) AS own,
            COALESCE(sum(b.customers::double precision / f.customers) FILTER (WHERE n.nights_ago > 1), 0)
                / max(n.before) AS before
        FROM night AS n
        JOIN credit.run_feature_bin AS b ON b.run_id = n.run_id
        JOIN credit.run_feature AS f ON f.run_id = b.run_id AND f.feature_id = b.feature_id
        WHERE n.before > 0
        GROUP BY b.feature_id, b.bin
    ) AS x
    GROUP BY x.feature_id
)
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
    d.feature_id,
    recent.psi AS recent_psi
FROM reporting.score_drift AS s
JOIN credit.run_feature AS d ON d.run_id = s.run_id
JOIN credit.feature AS f ON f.feature_id = d.feature_id
CROSS JOIN LATERAL (
    SELECT
        reporting.drift_level(d.psi) AS level,
        reporting.drift_level_en(d.psi) AS level_en,
        reporting.drift_level_fr(d.psi) AS level_fr
) AS level
LEFT JOIN recent ON recent.feature_id = d.feature_id AND s.nights_ago = 1;

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
COMMENT ON COLUMN reporting.feature_drift.recent_psi IS
    'Of the run that readers see, the index against the mean of the seven nights before with the same model, or fewer '
    'where there are not so many; empty where there is none, and for other runs.';
