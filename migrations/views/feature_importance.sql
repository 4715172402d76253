-- The left join is there for the points alone: a query that does not ask for them is planned without it.
CREATE VIEW reporting.feature_importance AS
WITH mean AS (
    SELECT
        v.feature_id,
        avg(abs(v.contribution)) AS absolute_contribution,
        avg(v.contribution) AS contribution,
        avg(abs(v.contribution * scale.points_per_log_odds)) AS absolute_points,
        count(*) AS customers
    FROM credit.shap_value AS v
    LEFT JOIN reporting.point_scale AS scale ON scale.customer_id = v.customer_id
    WHERE v.run_id = (SELECT p.run_id FROM credit.published_run AS p)
    GROUP BY v.feature_id
)
SELECT
    f.name AS feature,
    f.label_en AS label,
    f.label_fr,
    m.absolute_contribution AS mean_absolute_contribution,
    m.contribution AS mean_contribution,
    m.absolute_points AS mean_absolute_points,
    100 * m.absolute_contribution / NULLIF(sum(m.absolute_contribution) OVER (), 0) AS share,
    rank() OVER (ORDER BY m.absolute_contribution DESC) AS rank,
    m.customers,
    f.kind,
    f.actionable,
    m.feature_id
FROM mean AS m
JOIN credit.feature AS f ON f.feature_id = m.feature_id;

COMMENT ON VIEW reporting.feature_importance IS
    'How much each feature moves the scores of the published run, over all applicants. Reads millions of rows: '
    'takes a second or two.';
COMMENT ON COLUMN reporting.feature_importance.feature IS
    'Column name as in the application file, or name of the derived feature, see feature.';
COMMENT ON COLUMN reporting.feature_importance.label IS 'Short name of the feature in English.';
COMMENT ON COLUMN reporting.feature_importance.label_fr IS 'Short name of the feature in French.';
COMMENT ON COLUMN reporting.feature_importance.mean_absolute_contribution IS
    'Mean of the contributions without their sign, in log-odds of default.';
COMMENT ON COLUMN reporting.feature_importance.mean_contribution IS
    'Mean of the contributions with their sign, in log-odds of default; positive means more risk than the former '
    'customers have.';
COMMENT ON COLUMN reporting.feature_importance.mean_absolute_points IS
    'By how many score points the feature moves an applicant''s score up or down, on average.';
COMMENT ON COLUMN reporting.feature_importance.share IS
    'Mean absolute contribution as a share of the total over all features, in %.';
COMMENT ON COLUMN reporting.feature_importance.rank IS 'Place by mean absolute contribution, 1 is the largest.';
COMMENT ON COLUMN reporting.feature_importance.customers IS 'How many applicants the means are over.';
COMMENT ON COLUMN reporting.feature_importance.kind IS 'What sort of value it is, see feature.';
COMMENT ON COLUMN reporting.feature_importance.actionable IS
    'Whether applicants can soundly change the value themselves before they apply again.';
COMMENT ON COLUMN reporting.feature_importance.feature_id IS 'Number of the feature, see feature.';
