-- What the parts of a change are worth follows from it alone: the slope of the chord between the two scores, by which
-- changes of log-odds become points that add up exactly, and those that are none stay none.
CREATE VIEW reporting.score_change AS
SELECT
    s.customer_id,
    w.score AS previous_score,
    s.score,
    reporting.exact_score(s.log_odds) - reporting.exact_score(w.log_odds) AS points_change,
    w.band AS previous_band,
    s.band,
    w.decision AS previous_decision,
    s.decision,
    run.previous_run_id,
    run.run_id,
    run.previous_as_of,
    run.as_of,
    run.model_id IS DISTINCT FROM before.model_id AS model_changed,
    reporting.points_per_log_odds(w.log_odds, s.log_odds) AS points_per_log_odds,
    run.base_value - before.base_value AS base_value_change,
    (
        SELECT b.decision
        FROM credit.score_band AS b
        WHERE b.minimum_score <= w.score
        ORDER BY b.minimum_score DESC
        LIMIT 1
    ) IS DISTINCT FROM w.decision AS limits_changed
FROM credit.score AS s
CROSS JOIN reporting.published_run AS run
JOIN credit.score AS w
    ON w.customer_id = s.customer_id
    AND w.run_id = (SELECT earlier.previous_run_id FROM reporting.published_run AS earlier)
CROSS JOIN (
    SELECT m.model_id, m.base_value
    FROM credit.scoring_run AS r
    JOIN credit.model_version AS m ON m.model_id = r.model_id
    WHERE r.run_id = (SELECT earlier.previous_run_id FROM reporting.published_run AS earlier)
    LIMIT 1
) AS before
WHERE s.run_id = (SELECT p.run_id FROM credit.published_run AS p);

COMMENT ON VIEW reporting.score_change IS
    'The score of each applicant in the published run and in the run published before; none for an applicant who was '
    'not in both.';
COMMENT ON COLUMN reporting.score_change.customer_id IS 'Application number.';
COMMENT ON COLUMN reporting.score_change.previous_score IS 'Score in the run before.';
COMMENT ON COLUMN reporting.score_change.score IS 'Score in the published run, 0 (worst) to 100 (best).';
COMMENT ON COLUMN reporting.score_change.points_change IS
    'Score less previous score, both before rounding, in points; positive is better.';
COMMENT ON COLUMN reporting.score_change.previous_band IS 'Band of the score in the run before.';
COMMENT ON COLUMN reporting.score_change.band IS 'Band of the score in the published run.';
COMMENT ON COLUMN reporting.score_change.previous_decision IS 'Decision suggested by the run before.';
COMMENT ON COLUMN reporting.score_change.decision IS 'Decision suggested by the published run.';
COMMENT ON COLUMN reporting.score_change.previous_run_id IS
    'Run published just before, by date and then by number, whose details are still kept.';
COMMENT ON COLUMN reporting.score_change.run_id IS 'The published run.';
COMMENT ON COLUMN reporting.score_change.previous_as_of IS 'Date of the run published just before.';
COMMENT ON COLUMN reporting.score_change.as_of IS 'Date of the published run.';
COMMENT ON COLUMN reporting.score_change.model_changed IS 'Whether the two runs used different models.';
COMMENT ON COLUMN reporting.score_change.points_per_log_odds IS
    'Score points that one unit of log-odds of default is worth on the way from one score to the other; negative.';
COMMENT ON COLUMN reporting.score_change.base_value_change IS
    'How much higher the published run''s model starts, in log-odds of default; 0 with the same model.';
COMMENT ON COLUMN reporting.score_change.limits_changed IS
    'Whether today''s limits would have suggested another decision for the previous score.';
