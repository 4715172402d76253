CREATE VIEW reporting.data_quality AS
WITH former_value AS (
    SELECT d.feature_id, d.customers, d.missing
    FROM credit.former_distribution AS d
    WHERE d.model_id = (SELECT run.model_id FROM reporting.published_run AS run) AND d.outcome = 'all'
    UNION ALL
    SELECT c.feature_id, sum(c.customers), COALESCE(sum(c.customers) FILTER (WHERE c.category_code = -1), 0)
    FROM credit.former_category AS c
    WHERE c.model_id = (SELECT run.model_id FROM reporting.published_run AS run)
    GROUP BY c.feature_id
)
SELECT
    run.run_id,
    f.name AS feature,
    f.label_en,
    n.customers,
    n.missing,
    100.0::double precision * n.missing / n.customers AS missing_share,
    n.unknown,
    (100.0 * o.missing / NULLIF(o.customers, 0))::double precision AS former_missing_share,
    f.label_fr,
    f.kind,
    n.feature_id,
    (100.0 * n.missing / n.customers - 100.0 * o.missing / NULLIF(o.customers, 0))::double precision
        AS missing_difference
FROM credit.run_feature AS n
CROSS JOIN reporting.published_run AS run
JOIN credit.feature AS f ON f.feature_id = n.feature_id
LEFT JOIN former_value AS o ON o.feature_id = n.feature_id
WHERE n.run_id = (SELECT p.run_id FROM credit.published_run AS p);

COMMENT ON VIEW reporting.data_quality IS
    'How many values of each feature are missing or unknown in the published run, and how many were missing among '
    'former customers.';
COMMENT ON COLUMN reporting.data_quality.run_id IS 'The published run.';
COMMENT ON COLUMN reporting.data_quality.feature IS
    'Column name as in the application file, or name of the derived feature, see feature.';
COMMENT ON COLUMN reporting.data_quality.label_en IS 'Short name of the feature in English.';
COMMENT ON COLUMN reporting.data_quality.customers IS 'How many applicants the run has.';
COMMENT ON COLUMN reporting.data_quality.missing IS 'How many of them have no value.';
COMMENT ON COLUMN reporting.data_quality.missing_share IS 'The same as a share of the applicants, in %.';
COMMENT ON COLUMN reporting.data_quality.unknown IS
    'How many of them have a category that the dictionary does not know, see unknown_category.';
COMMENT ON COLUMN reporting.data_quality.former_missing_share IS
    'Share of the former customers who had no value, in %.';
COMMENT ON COLUMN reporting.data_quality.label_fr IS 'Short name of the feature in French.';
COMMENT ON COLUMN reporting.data_quality.kind IS 'What sort of value it is, see feature.';
COMMENT ON COLUMN reporting.data_quality.feature_id IS 'Number of the feature, see feature.';
COMMENT ON COLUMN reporting.data_quality.missing_difference IS
    'Missing share less that of former customers, in percentage points.';
