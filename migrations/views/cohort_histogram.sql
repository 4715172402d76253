CREATE VIEW reporting.cohort_histogram AS
SELECT
    c.customer_id,
    c.feature,
    c.feature_en,
    c.feature_fr,
    c.feature_order,
    o.outcome,
    o.outcome_en,
    o.outcome_fr,
    b.bin,
    b.bin_en,
    b.bin_fr,
    b.lower,
    b.upper,
    own.is_customer_bin,
    o.outcome_en || CASE WHEN own.is_customer_bin THEN ', bin of this customer' ELSE '' END AS series_en,
    o.outcome_fr || CASE WHEN own.is_customer_bin THEN ', classe de ce client' ELSE '' END AS series_fr,
    c.unit_en,
    c.unit_fr,
    c.decimals,
    c.customer_value,
    (s.words).*,
    ROW(b.members, b.given, o.target, (s.cohort).options, wanted.like_customer)::reporting.cohort_bar_row AS cohort,
    l.label_en AS cohort_like_en,
    l.label_fr AS cohort_like_fr
FROM reporting.cohort_customer AS c
CROSS JOIN (VALUES (0, 'repaid', 'Repaid', 'Remboursé'), (1, 'defaulted', 'Defaulted', 'En défaut'))
    AS o (target, outcome, outcome_en, outcome_fr)
CROSS JOIN reporting.cohort_selection AS s
CROSS JOIN reporting.like_options() AS l
CROSS JOIN LATERAL (
    SELECT CASE WHEN l.is_chosen THEN c.customer_id END AS like_customer
) AS wanted
CROSS JOIN LATERAL reporting.cohort_bars(
    ROW(
        (s.cohort).model_id, c.feature_id, o.target, NULL, (s.cohort).options, wanted.like_customer
    )::reporting.cohort_row
) AS b
-- The codes of the outer bins end with those of the former customers, the bins themselves do not.
CROSS JOIN LATERAL (
    SELECT COALESCE(
        c.customer_code BETWEEN b.first_code AND b.last_code
        OR b.lower IS NULL AND c.customer_value < b.upper
        OR b.upper IS NULL AND c.customer_value >= b.lower,
        false
    ) AS is_customer_bin
) AS own;

COMMENT ON VIEW reporting.cohort_histogram IS
    'How a feature is spread in any cohort of former customers, with the bin of one applicant of the published '
    'run: ask for one customer_id, one feature and a value, or All, of each filter in one language, group by bin '
    'and series, and take figures by (reporting.cohort_bar(cohort)).share.';
COMMENT ON COLUMN reporting.cohort_histogram.bin IS 'Number of the bin, from 1, by rising values.';
COMMENT ON COLUMN reporting.cohort_histogram.bin_en IS
    'Limits of the bin in English, in the unit of the feature.';
COMMENT ON COLUMN reporting.cohort_histogram.bin_fr IS 'Limits of the bin in French, in the unit of the feature.';
COMMENT ON COLUMN reporting.cohort_histogram.lower IS
    'Least value of the bin, in the unit that people are shown; empty for the first.';
COMMENT ON COLUMN reporting.cohort_histogram.upper IS
    'Value that the bin ends before, in the unit that people are shown; empty for the last.';
COMMENT ON COLUMN reporting.cohort_histogram.is_customer_bin IS
    'Whether the customer''s own value is in the bin.';
COMMENT ON COLUMN reporting.cohort_histogram.series_en IS
    'The outcome in English, with the bin of the customer set apart.';
COMMENT ON COLUMN reporting.cohort_histogram.series_fr IS
    'The outcome in French, with the bin of the customer set apart.';
COMMENT ON COLUMN reporting.cohort_histogram.cohort IS
    'What the aggregate cohort_bar needs to know of the bin and the cohort.';
