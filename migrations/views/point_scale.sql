-- Grouping by what is unique already changes no row. It lets the planner see that a customer has one, which it
-- cannot tell of a partitioned table, and the function is not computed anew for each of a customer's features.
CREATE VIEW reporting.point_scale AS
SELECT
    s.customer_id,
    max(reporting.points_per_log_odds(run.base_value, s.log_odds)) AS points_per_log_odds
FROM credit.score AS s
CROSS JOIN reporting.published_run AS run
WHERE s.run_id = (SELECT p.run_id FROM credit.published_run AS p)
GROUP BY s.customer_id;

COMMENT ON VIEW reporting.point_scale IS
    'What turns contributions into score points, one row per applicant of the published run.';
COMMENT ON COLUMN reporting.point_scale.customer_id IS 'Application number.';
COMMENT ON COLUMN reporting.point_scale.points_per_log_odds IS
    'Score points that one unit of contribution (log-odds of default) is worth to the applicant; negative.';
