-- What the parts of a change are worth follows from it alone: the slope of the chord between the two scores, by which
-- changes of log-odds become points that add up exactly, and those that are none stay none. What is the same for all
-- customers stands in subqueries of its own, which run once and not for each of them.
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
    w.run_id AS previous_run_id,
    s.run_id,
    (SELECT run.previous_as_of FROM reporting.published_run AS run) AS previous_as_of,
    (SELECT run.as_of FROM reporting.published_run AS run) AS as_of,
    (
        SELECT r.model_id <> run.model_id
        FROM reporting.published_run AS run
        JOIN credit.scoring_run AS r ON r.run_id = run.previous_run_id
    ) AS model_changed,
    reporting.points_per_log_odds(w.log_odds, s.log_odds) AS points_per_log_odds,
    (
        SELECT run.base_value - m.base_value
        FROM reporting.published_run AS run
        JOIN credit.scoring_run AS r ON r.run_id = run.previous_run_id
        JOIN credit.model_version AS m ON m.model_id = r.model_id
    ) AS base_value_change,
    COALESCE(
        (
            SELECT b.decision
            FROM credit.score_band AS b
            WHERE b.policy_id = (SELECT run.policy_id FROM reporting.published_run AS run)
                AND b.minimum_score <= w.score
            ORDER BY b.minimum_score DESC
            LIMIT 1
        ),
        -- The lender's figures decide: by those of the contract asked for.
        (
            SELECT
                CASE
                    WHEN w.default_probability < l.accept_below THEN 'accept'
                    WHEN w.default_probability >= l.decline_from THEN 'decline'
                    ELSE 'review'
                END
            FROM credit.policy_line AS l
            LEFT JOIN credit.new_customer AS a ON a.run_id = w.run_id AND a.customer_id = w.customer_id
            WHERE l.policy_id = (SELECT run.policy_id FROM reporting.published_run AS run)
                AND l.contract_type IN (0, a.name_contract_type)
            ORDER BY l.contract_type DESC
            LIMIT 1
        )
    ) IS DISTINCT FROM w.decision AS limits_changed
FROM credit.score AS s
JOIN credit.score AS w
    ON w.customer_id = s.customer_id
    AND w.run_id = (SELECT earlier.previous_run_id FROM reporting.published_run AS earlier)
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
    'Newest run of the last date before this one whose details are still kept.';
COMMENT ON COLUMN reporting.score_change.run_id IS 'The published run.';
COMMENT ON COLUMN reporting.score_change.previous_as_of IS 'Date of the run that this one is compared with.';
COMMENT ON COLUMN reporting.score_change.as_of IS 'Date of the published run.';
COMMENT ON COLUMN reporting.score_change.model_changed IS 'Whether the two runs used different models.';
COMMENT ON COLUMN reporting.score_change.points_per_log_odds IS
    'Score points that one unit of log-odds of default is worth on the way from one score to the other; negative.';
COMMENT ON COLUMN reporting.score_change.base_value_change IS
    'How much higher the published run''s model starts, in log-odds of default; 0 with the same model.';
COMMENT ON COLUMN reporting.score_change.limits_changed IS
    'Whether today''s limits would have suggested another decision for the previous score.';
