-- quantiles[i] is the quantile (i - 1) / 1000 of the raw values, one that somebody has; where people are shown a negated
-- value (days before today as years), everything is mirrored.
CREATE VIEW reporting.customer_comparison AS
WITH outcome (outcome) AS (
    VALUES ('all'), ('repaid'), ('defaulted')
),
former_group AS (
    SELECT
        c.feature_id,
        c.category_code,
        o.outcome,
        CASE o.outcome
            WHEN 'repaid' THEN c.customers - c.defaulted
            WHEN 'defaulted' THEN c.defaulted
            ELSE c.customers
        END AS customers,
        100.0 * c.defaulted / NULLIF(c.customers, 0) AS default_rate
    FROM credit.former_category AS c
    CROSS JOIN outcome AS o
    WHERE c.model_id = (SELECT run.model_id FROM reporting.published_run AS run)
),
former_total AS (
    SELECT g.feature_id, g.outcome, sum(g.customers) AS customers
    FROM former_group AS g
    GROUP BY g.feature_id, g.outcome
)
SELECT
    e.customer_id,
    e.feature,
    e.label_en,
    e.label_fr,
    e.value_en,
    e.value_fr,
    e.numeric_value,
    o.outcome,
    COALESCE(d.customers, total.customers)::integer AS former_customers,
    d.mean * f.display_scale AS former_mean,
    d.quantiles[CASE WHEN f.display_scale > 0 THEN 101 ELSE 901 END] * f.display_scale AS q10,
    d.quantiles[CASE WHEN f.display_scale > 0 THEN 251 ELSE 751 END] * f.display_scale AS q25,
    d.quantiles[501] * f.display_scale AS median,
    d.quantiles[CASE WHEN f.display_scale > 0 THEN 751 ELSE 251 END] * f.display_scale AS q75,
    d.quantiles[CASE WHEN f.display_scale > 0 THEN 901 ELSE 101 END] * f.display_scale AS q90,
    reporting.share_at_or_below(e.raw_value, d.quantiles, f.display_scale) AS percentile,
    CASE
        WHEN f.kind IN ('category', 'flag')
            THEN 100.0 * COALESCE(same.customers, 0) / NULLIF(total.customers, 0)
    END::double precision AS share_of_former,
    same.default_rate::double precision AS default_rate,
    e.unit_en,
    e.unit_fr,
    e.kind,
    e.actionable,
    e.rank,
    e.score_points,
    e.feature_id,
    e.run_id
FROM reporting.customer_explanation AS e
JOIN credit.feature AS f ON f.feature_id = e.feature_id
CROSS JOIN outcome AS o
LEFT JOIN credit.former_distribution AS d
    ON d.model_id = (SELECT run.model_id FROM reporting.published_run AS run)
    AND d.feature_id = e.feature_id
    AND d.outcome = o.outcome
LEFT JOIN former_total AS total ON total.feature_id = e.feature_id AND total.outcome = o.outcome
LEFT JOIN former_group AS same
    ON same.feature_id = e.feature_id
    AND same.outcome = o.outcome
    AND same.category_code = COALESCE(e.category_code, -1);

COMMENT ON VIEW reporting.customer_comparison IS
    'Each applicant of the published run beside the former customers: per feature one row for all of them, for '
    'those who repaid and for those who defaulted. Ask for one customer_id at a time.';
COMMENT ON COLUMN reporting.customer_comparison.customer_id IS 'Application number.';
COMMENT ON COLUMN reporting.customer_comparison.feature IS
    'Column name as in the application file, or name of the derived feature, see feature.';
COMMENT ON COLUMN reporting.customer_comparison.label_en IS 'Short name of the feature in English.';
COMMENT ON COLUMN reporting.customer_comparison.label_fr IS 'Short name of the feature in French.';
COMMENT ON COLUMN reporting.customer_comparison.value_en IS 'The applicant''s value in words and units in English.';
COMMENT ON COLUMN reporting.customer_comparison.value_fr IS 'The applicant''s value in words and units in French.';
COMMENT ON COLUMN reporting.customer_comparison.numeric_value IS
    'The applicant''s value as a number in the unit that people are shown (unit_en); empty if missing or a '
    'category.';
COMMENT ON COLUMN reporting.customer_comparison.outcome IS
    'Which former customers the applicant is compared with: all, repaid or defaulted.';
COMMENT ON COLUMN reporting.customer_comparison.former_customers IS
    'How many former customers had that outcome, those without a value included.';
COMMENT ON COLUMN reporting.customer_comparison.former_mean IS
    'Mean of those former customers, in the unit that people are shown; empty for a category or flag.';
COMMENT ON COLUMN reporting.customer_comparison.q10 IS
    'Value that 10 % of those former customers do not exceed, in the unit that people are shown; empty for a '
    'category or flag.';
COMMENT ON COLUMN reporting.customer_comparison.q25 IS
    'Value that 25 % of those former customers do not exceed, in the unit that people are shown; empty for a '
    'category or flag.';
COMMENT ON COLUMN reporting.customer_comparison.median IS
    'Value that half of those former customers do not exceed, in the unit that people are shown; empty for a '
    'category or flag.';
COMMENT ON COLUMN reporting.customer_comparison.q75 IS
    'Value that 75 % of those former customers do not exceed, in the unit that people are shown; empty for a '
    'category or flag.';
COMMENT ON COLUMN reporting.customer_comparison.q90 IS
    'Value that 90 % of those former customers do not exceed, in the unit that people are shown; empty for a '
    'category or flag.';
COMMENT ON COLUMN reporting.customer_comparison.percentile IS
    'Share of those former customers, in %, whose value is at or below the applicant''s, to 0.1 %; empty if '
    'missing, for a category or for a flag.';
COMMENT ON COLUMN reporting.customer_comparison.share_of_former IS
    'Share of those former customers, in %, in the same category as the applicant; empty for a number.';
COMMENT ON COLUMN reporting.customer_comparison.default_rate IS
    'Share of all former customers of that category who defaulted, in %; the same for every outcome; empty for a '
    'number.';
COMMENT ON COLUMN reporting.customer_comparison.unit_en IS
    'Unit of the numbers in English; empty text if there is none.';
COMMENT ON COLUMN reporting.customer_comparison.unit_fr IS
    'Unit of the numbers in French; empty text if there is none.';
COMMENT ON COLUMN reporting.customer_comparison.kind IS 'What sort of value it is, see feature.';
COMMENT ON COLUMN reporting.customer_comparison.actionable IS
    'Whether applicants can soundly change the value themselves before they apply again.';
COMMENT ON COLUMN reporting.customer_comparison.rank IS
    'Place of the feature by absolute size of its contribution to the applicant''s score, 1 is the largest.';
COMMENT ON COLUMN reporting.customer_comparison.score_points IS
    'Contribution of the feature to the applicant''s score, in points; positive raises the score.';
COMMENT ON COLUMN reporting.customer_comparison.feature_id IS 'Number of the feature, see feature.';
COMMENT ON COLUMN reporting.customer_comparison.run_id IS 'Run that the row is from, see run_history.';
