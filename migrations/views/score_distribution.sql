CREATE VIEW reporting.score_distribution AS
WITH new_score AS (
    SELECT s.score, sum(s.customers) AS customers
    FROM credit.run_score AS s
    WHERE s.run_id = (SELECT p.run_id FROM credit.published_run AS p)
    GROUP BY s.score
),
former_score AS (
    SELECT s.score, s.customers, s.defaulted
    FROM credit.model_version AS m
    CROSS JOIN LATERAL jsonb_to_recordset(m.metrics -> 'scores')
        AS s (score smallint, customers integer, defaulted integer)
    WHERE m.model_id = (SELECT run.model_id FROM reporting.published_run AS run)
)
SELECT
    run.run_id,
    run.as_of,
    grid.score::smallint AS score,
    COALESCE(n.customers, 0)::integer AS customers,
    (100.0 * COALESCE(n.customers, 0) / sum(n.customers) OVER ())::double precision AS share,
    (
        SELECT b.band
        FROM credit.score_band AS b
        WHERE b.policy_id = run.policy_id AND b.minimum_score <= grid.score
        ORDER BY b.minimum_score DESC
        LIMIT 1
    ) AS band,
    COALESCE(o.customers, 0) AS former_customers,
    (100.0 * COALESCE(o.customers, 0) / sum(o.customers) OVER ())::double precision AS former_share,
    100.0::double precision * o.defaulted / o.customers AS former_default_rate
FROM reporting.published_run AS run
CROSS JOIN generate_series(0, 100) AS grid (score)
LEFT JOIN new_score AS n ON n.score = grid.score
LEFT JOIN former_score AS o ON o.score = grid.score;

COMMENT ON VIEW reporting.score_distribution IS
    'How many applicants of the published run, and how many former customers, have each score: 101 rows.';
COMMENT ON COLUMN reporting.score_distribution.run_id IS 'The published run.';
COMMENT ON COLUMN reporting.score_distribution.as_of IS 'Date that the scores are of.';
COMMENT ON COLUMN reporting.score_distribution.score IS 'Score, every whole number from 0 (worst) to 100 (best).';
COMMENT ON COLUMN reporting.score_distribution.customers IS 'How many applicants have this score.';
COMMENT ON COLUMN reporting.score_distribution.share IS 'The same as a share of all applicants, in %.';
COMMENT ON COLUMN reporting.score_distribution.band IS 'Band of the score, A best, see score_band.';
COMMENT ON COLUMN reporting.score_distribution.former_customers IS
    'How many former customers have this score, each scored by a model that never saw them.';
COMMENT ON COLUMN reporting.score_distribution.former_share IS 'The same as a share of all former customers, in %.';
COMMENT ON COLUMN reporting.score_distribution.former_default_rate IS
    'Share of the former customers with this score who defaulted, in %; empty if there are none.';
