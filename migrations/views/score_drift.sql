-- The nights before fall into tenths by their scores, as far as equal scores allow; what lies between two of them counts
-- with the upper one. Nights of another model are left out: they have other scores for the same people.
CREATE VIEW reporting.score_drift AS
WITH night AS (
    SELECT n.run_id, n.model_id, row_number() OVER (ORDER BY n.as_of DESC) AS nights_ago
    FROM reporting.run_history AS n
    WHERE n.status = 'published' AND NOT n.superseded AND NOT n.is_ahead
    ORDER BY n.as_of DESC
    LIMIT 37
),
share AS (
    SELECT
        n.run_id,
        s.score,
        COALESCE(sum(s.customers::double precision / t.customers) FILTER (WHERE o.run_id = n.run_id), 0) AS own,
        COALESCE(sum(s.customers::double precision / t.customers) FILTER (WHERE o.run_id <> n.run_id), 0) AS before
    FROM night AS n
    JOIN night AS o ON o.nights_ago BETWEEN n.nights_ago AND n.nights_ago + 7 AND o.model_id = n.model_id
    JOIN credit.run_score AS s ON s.run_id = o.run_id
    JOIN credit.run_summary AS t ON t.run_id = o.run_id
    GROUP BY n.run_id, s.score
),
tenth AS (
    SELECT
        s.run_id,
        ceil(10 * (sum(s.before) OVER below / NULLIF(sum(s.before) OVER everybody, 0)) - 1e-9) AS place,
        s.own,
        s.before / NULLIF(sum(s.before) OVER everybody, 0) AS before
    FROM share AS s
    WINDOW everybody AS (PARTITION BY s.run_id), below AS (PARTITION BY s.run_id ORDER BY s.score)
),
recent AS (
    SELECT b.run_id, sum(reporting.stability_term(b.own, b.before)) AS psi
    FROM (
        SELECT t.run_id, greatest(t.place, 1) AS place, sum(t.own) AS own, sum(t.before) AS before
        FROM tenth AS t
        WHERE t.before IS NOT NULL
        GROUP BY t.run_id, greatest(t.place, 1)
    ) AS b
    GROUP BY b.run_id
)
SELECT
    r.run_id,
    r.as_of,
    s.score_psi AS psi,
    level.level,
    level.level_en,
    level.level_fr,
    s.customers,
    s.mean_score,
    (m.metrics ->> 'mean_score')::double precision AS former_mean_score,
    100 * s.mean_default_probability AS mean_default_percent,
    100 * s.approval_rate AS approval_rate,
    r.rejected,
    r.model_id,
    r.is_current,
    night.nights_ago,
    recent.psi AS recent_psi
FROM night
JOIN reporting.run_history AS r ON r.run_id = night.run_id
JOIN credit.run_summary AS s ON s.run_id = night.run_id
JOIN credit.model_version AS m ON m.model_id = r.model_id
CROSS JOIN LATERAL (
    SELECT
        reporting.drift_level(s.score_psi) AS level,
        reporting.drift_level_en(s.score_psi) AS level_en,
        reporting.drift_level_fr(s.score_psi) AS level_fr
) AS level
LEFT JOIN recent ON recent.run_id = night.run_id
WHERE night.nights_ago <= 30;

COMMENT ON VIEW reporting.score_drift IS
    'The last 30 nights as a whole, one row per published run that no later run of the same date replaced: how far '
    'the scores have drifted from those of the former customers that the model learned from.';
COMMENT ON COLUMN reporting.score_drift.run_id IS 'The run, see run_history.';
COMMENT ON COLUMN reporting.score_drift.as_of IS 'Date that the scores are of.';
COMMENT ON COLUMN reporting.score_drift.psi IS
    'Population stability index of the scores against the former customers, each scored by a model that never saw '
    'them, over ten bins; 0 is alike, from 0.1 on to be watched, from 0.25 on another population.';
COMMENT ON COLUMN reporting.score_drift.level IS 'stable, watch or shifted; empty where the index is not known.';
COMMENT ON COLUMN reporting.score_drift.level_en IS 'The level in English, with a sign.';
COMMENT ON COLUMN reporting.score_drift.level_fr IS 'The level in French, with a sign.';
COMMENT ON COLUMN reporting.score_drift.customers IS 'How many customers were scored.';
COMMENT ON COLUMN reporting.score_drift.mean_score IS 'Their mean score before rounding.';
COMMENT ON COLUMN reporting.score_drift.former_mean_score IS
    'Mean score before rounding of the former customers that the run''s model learned from.';
COMMENT ON COLUMN reporting.score_drift.mean_default_percent IS 'Their mean probability of default, in %.';
COMMENT ON COLUMN reporting.score_drift.approval_rate IS
    'Share of the customers for whom the suggested decision is to accept, in %.';
COMMENT ON COLUMN reporting.score_drift.rejected IS 'How many rows of the file were rejected.';
COMMENT ON COLUMN reporting.score_drift.model_id IS 'Model that the run used, see model_card.';
COMMENT ON COLUMN reporting.score_drift.is_current IS 'Whether this is the run that readers see.';
COMMENT ON COLUMN reporting.score_drift.nights_ago IS 'Place of the run by date, 1 is what readers see.';
COMMENT ON COLUMN reporting.score_drift.recent_psi IS
    'Population stability index of the scores against the mean of the seven nights before with the same model, or '
    'fewer where there are not so many; empty where there is none.';
