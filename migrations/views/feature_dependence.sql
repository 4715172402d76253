-- Bins are numbered as people see the values: days before today are shown as years, the other way round.
CREATE VIEW reporting.feature_dependence AS
SELECT
    f.name AS feature,
    f.label_en,
    f.label_fr,
    place.bin,
    CASE
        WHEN b.bin = -1 THEN 'not given'
        WHEN f.kind IN ('category', 'flag') THEN reporting.category_en(b.bin, k.label_en)
        WHEN ends.low = ends.high THEN reporting.quantity_en(ends.low, f.display_decimals, f.unit_en)
        WHEN place.bin = 1 THEN 'up to ' || reporting.quantity_en(ends.high, f.display_decimals, f.unit_en)
        WHEN place.bin = place.bins THEN 'from ' || reporting.quantity_en(ends.low, f.display_decimals, f.unit_en)
        ELSE reporting.format_number_en(ends.low, f.display_decimals) || ' to '
            || reporting.quantity_en(ends.high, f.display_decimals, f.unit_en)
    END AS bin_en,
    CASE
        WHEN b.bin = -1 THEN 'non renseigné'
        WHEN f.kind IN ('category', 'flag') THEN reporting.category_fr(b.bin, k.label_fr)
        WHEN ends.low = ends.high THEN reporting.quantity_fr(ends.low, f.display_decimals, f.unit_fr)
        WHEN place.bin = 1 THEN 'jusqu''à ' || reporting.quantity_fr(ends.high, f.display_decimals, f.unit_fr)
        WHEN place.bin = place.bins
            THEN 'à partir de ' || reporting.quantity_fr(ends.low, f.display_decimals, f.unit_fr)
        ELSE reporting.format_number_fr(ends.low, f.display_decimals) || ' à '
            || reporting.quantity_fr(ends.high, f.display_decimals, f.unit_fr)
    END AS bin_fr,
    d.customers,
    (100.0 * d.customers / sum(d.customers) OVER (PARTITION BY d.feature_id))::double precision AS share,
    (100.0 * b.customers / NULLIF(total.customers, 0))::double precision AS former_share,
    d.mean_points,
    d.mean_contribution,
    d.points_deviation,
    f.kind,
    d.feature_id,
    d.run_id
FROM credit.run_feature_bin AS d
CROSS JOIN reporting.published_run AS run
JOIN credit.feature AS f ON f.feature_id = d.feature_id
JOIN credit.feature_bin AS b ON b.model_id = run.model_id AND b.feature_id = d.feature_id AND b.bin = d.bin
LEFT JOIN credit.feature_category AS k ON k.feature_id = d.feature_id AND k.code = d.bin
JOIN (
    SELECT o.model_id, o.feature_id, max(o.bin) AS bins, sum(o.customers) AS customers
    FROM credit.feature_bin AS o
    GROUP BY o.model_id, o.feature_id
) AS total ON total.model_id = run.model_id AND total.feature_id = d.feature_id
CROSS JOIN LATERAL (
    SELECT
        round(
            (CASE WHEN f.display_scale > 0 THEN b.minimum ELSE b.maximum END * f.display_scale)::numeric,
            f.display_decimals
        )::double precision AS low,
        round(
            (CASE WHEN f.display_scale > 0 THEN b.maximum ELSE b.minimum END * f.display_scale)::numeric,
            f.display_decimals
        )::double precision AS high
) AS ends
CROSS JOIN LATERAL (
    SELECT
        CASE
            WHEN b.bin = -1 THEN 1000
            WHEN f.kind IN ('category', 'flag') THEN CASE WHEN b.bin = 0 AND f.kind = 'category' THEN 999 ELSE b.bin END
            WHEN f.display_scale > 0 THEN b.bin
            ELSE total.bins + 1 - b.bin
        END::integer AS bin,
        CASE WHEN f.kind IN ('category', 'flag') THEN NULL ELSE total.bins END::integer AS bins
) AS place
WHERE d.run_id = (SELECT p.run_id FROM credit.published_run AS p);

COMMENT ON VIEW reporting.feature_dependence IS
    'What the values of each feature do to the scores of the published run: per feature and bin (deciles of the former '
    'customers for a number, the values of a category, and what is not given) the mean points of its customers.';
COMMENT ON COLUMN reporting.feature_dependence.feature IS
    'Column name as in the application file, or name of the derived feature, see feature.';
COMMENT ON COLUMN reporting.feature_dependence.label_en IS 'Short name of the feature in English.';
COMMENT ON COLUMN reporting.feature_dependence.label_fr IS 'Short name of the feature in French.';
COMMENT ON COLUMN reporting.feature_dependence.bin IS
    'Place of the bin: 1 holds the lowest values as people see them; 999 is unknown, 1000 not given.';
COMMENT ON COLUMN reporting.feature_dependence.bin_en IS 'The values in the bin, in words and units in English.';
COMMENT ON COLUMN reporting.feature_dependence.bin_fr IS 'The values in the bin, in words and units in French.';
COMMENT ON COLUMN reporting.feature_dependence.customers IS
    'How many applicants are in the bin; one without any has no row.';
COMMENT ON COLUMN reporting.feature_dependence.share IS 'The same as a share of all applicants, in %.';
COMMENT ON COLUMN reporting.feature_dependence.former_share IS 'Share of the former customers in the bin, in %.';
COMMENT ON COLUMN reporting.feature_dependence.mean_points IS
    'What the feature does to the scores of the bin''s applicants on average, in points; positive raises the score.';
COMMENT ON COLUMN reporting.feature_dependence.mean_contribution IS
    'The same in log-odds of default; positive means more risk.';
COMMENT ON COLUMN reporting.feature_dependence.points_deviation IS
    'Standard deviation of the points among the bin''s applicants.';
COMMENT ON COLUMN reporting.feature_dependence.kind IS 'What sort of value it is, see feature.';
COMMENT ON COLUMN reporting.feature_dependence.feature_id IS 'Number of the feature, see feature.';
COMMENT ON COLUMN reporting.feature_dependence.run_id IS 'The published run.';
