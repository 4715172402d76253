-- The limit tells the planner what it cannot know: that there is one row.
CREATE VIEW reporting.published_run AS
SELECT
    r.run_id,
    r.as_of,
    r.model_id,
    (
        SELECT earlier.run_id
        FROM credit.scoring_run AS earlier
        WHERE earlier.status = 'published'
            AND earlier.retired_at IS NULL
            AND earlier.as_of < r.as_of
        ORDER BY earlier.as_of DESC, earlier.run_id DESC
        LIMIT 1
    ) AS previous_run_id,
    m.base_value,
    reporting.exact_score(m.base_value) AS base_score,
    r.customers,
    r.source_name,
    r.published_at,
    (
        SELECT earlier.as_of
        FROM credit.scoring_run AS earlier
        WHERE earlier.status = 'published'
            AND earlier.retired_at IS NULL
            AND earlier.as_of < r.as_of
        ORDER BY earlier.as_of DESC, earlier.run_id DESC
        LIMIT 1
    ) AS previous_as_of,
    (m.metrics ->> 'mean_score')::double precision AS former_mean_score,
    r.policy_id
FROM credit.published_run AS p
JOIN credit.scoring_run AS r ON r.run_id = p.run_id
JOIN credit.model_version AS m ON m.model_id = r.model_id
LIMIT 1;

COMMENT ON VIEW reporting.published_run IS
    'The run that every other view speaks of; one row, none before the first run.';
COMMENT ON COLUMN reporting.published_run.run_id IS 'Number of the run.';
COMMENT ON COLUMN reporting.published_run.as_of IS 'Date that the scores are of.';
COMMENT ON COLUMN reporting.published_run.model_id IS 'Model that the run used, see model_card.';
COMMENT ON COLUMN reporting.published_run.previous_run_id IS
    'Newest run of the last date before this one whose details are still kept; empty if there is none.';
COMMENT ON COLUMN reporting.published_run.base_value IS
    'Mean log-odds of default of the training data as the model sees them: where it starts before it looks at a '
    'customer.';
COMMENT ON COLUMN reporting.published_run.base_score IS
    'Starting point: the score, before rounding, at the mean log-odds of the training data (base value), where the '
    'model is before it looks at a customer; 0 to 100. It is not the mean score of former customers.';
COMMENT ON COLUMN reporting.published_run.customers IS 'How many customers were scored.';
COMMENT ON COLUMN reporting.published_run.source_name IS 'Name of the file that was scored.';
COMMENT ON COLUMN reporting.published_run.published_at IS 'When readers began to see the run.';
COMMENT ON COLUMN reporting.published_run.previous_as_of IS 'Date that the scores of the previous run are of.';
COMMENT ON COLUMN reporting.published_run.former_mean_score IS
    'Mean score before rounding of the former customers, each scored by a model that never saw them.';
COMMENT ON COLUMN reporting.published_run.policy_id IS 'Policy that the run was decided by, see policy.';
