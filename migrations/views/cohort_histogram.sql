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
    s.cohort_credit_en,
    s.cohort_credit_fr,
    s.cohort_age_en,
    s.cohort_age_fr,
    s.cohort_annuity_income_en,
    s.cohort_annuity_income_fr,
    s.cohort_gender_en,
    s.cohort_gender_fr,
    s.cohort_education_en,
    s.cohort_education_fr,
    s.cohort_family_en,
    s.cohort_family_fr,
    s.cohort_housing_en,
    s.cohort_housing_fr,
    s.cohort_occupation_en,
    s.cohort_occupation_fr,
    s.cohort_region_en,
    s.cohort_region_fr,
    s.cohort_contract_en,
    s.cohort_contract_fr,
    ARRAY[b.members, b.given, o.target, b.bin] || s.cohort[5:14] AS cohort
FROM reporting.cohort_customer AS c
CROSS JOIN (VALUES (0, 'repaid', 'Repaid', 'Remboursé'), (1, 'defaulted', 'Defaulted', 'En défaut'))
    AS o (target, outcome, outcome_en, outcome_fr)
CROSS JOIN reporting.cohort_selection AS s
CROSS JOIN LATERAL reporting.cohort_bars(
    ARRAY[s.cohort[1], c.feature_id, o.target, NULL] || s.cohort[5:14]
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
COMMENT ON COLUMN reporting.cohort_histogram.customer_id IS 'Application number.';
COMMENT ON COLUMN reporting.cohort_histogram.feature IS 'Name of the feature, see cohort_feature.';
COMMENT ON COLUMN reporting.cohort_histogram.feature_en IS 'Short name with unit in English.';
COMMENT ON COLUMN reporting.cohort_histogram.feature_fr IS 'Short name with unit in French.';
COMMENT ON COLUMN reporting.cohort_histogram.feature_order IS 'Place in lists, from 1.';
COMMENT ON COLUMN reporting.cohort_histogram.unit_en IS 'Unit in English; empty text if there is none.';
COMMENT ON COLUMN reporting.cohort_histogram.unit_fr IS 'Unit in French; empty text if there is none.';
COMMENT ON COLUMN reporting.cohort_histogram.decimals IS 'How many decimals people are shown.';
COMMENT ON COLUMN reporting.cohort_histogram.customer_value IS
    'The customer''s own value in the unit that people are shown; empty if missing.';
COMMENT ON COLUMN reporting.cohort_histogram.outcome IS
    'What became of the former customers: repaid or defaulted.';
COMMENT ON COLUMN reporting.cohort_histogram.outcome_en IS 'The outcome in English.';
COMMENT ON COLUMN reporting.cohort_histogram.outcome_fr IS 'The outcome in French.';
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
COMMENT ON COLUMN reporting.cohort_histogram.cohort_credit_en IS
    'Chosen credit amount of the former customers in English; All for any.';
COMMENT ON COLUMN reporting.cohort_histogram.cohort_credit_fr IS
    'Chosen credit amount of the former customers in French; Tous for any.';
COMMENT ON COLUMN reporting.cohort_histogram.cohort_age_en IS
    'Chosen age of the former customers in English; All for any.';
COMMENT ON COLUMN reporting.cohort_histogram.cohort_age_fr IS
    'Chosen age of the former customers in French; Tous for any.';
COMMENT ON COLUMN reporting.cohort_histogram.cohort_annuity_income_en IS
    'Chosen annuity as a share of income of the former customers in English; All for any.';
COMMENT ON COLUMN reporting.cohort_histogram.cohort_annuity_income_fr IS
    'Chosen annuity as a share of income of the former customers in French; Tous for any.';
COMMENT ON COLUMN reporting.cohort_histogram.cohort_gender_en IS
    'Chosen gender of the former customers in English; All for any.';
COMMENT ON COLUMN reporting.cohort_histogram.cohort_gender_fr IS
    'Chosen gender of the former customers in French; Tous for any.';
COMMENT ON COLUMN reporting.cohort_histogram.cohort_education_en IS
    'Chosen education of the former customers in English; All for any.';
COMMENT ON COLUMN reporting.cohort_histogram.cohort_education_fr IS
    'Chosen education of the former customers in French; Tous for any.';
COMMENT ON COLUMN reporting.cohort_histogram.cohort_family_en IS
    'Chosen family status of the former customers in English; All for any.';
COMMENT ON COLUMN reporting.cohort_histogram.cohort_family_fr IS
    'Chosen family status of the former customers in French; Tous for any.';
COMMENT ON COLUMN reporting.cohort_histogram.cohort_housing_en IS
    'Chosen housing situation of the former customers in English; All for any.';
COMMENT ON COLUMN reporting.cohort_histogram.cohort_housing_fr IS
    'Chosen housing situation of the former customers in French; Tous for any.';
COMMENT ON COLUMN reporting.cohort_histogram.cohort_occupation_en IS
    'Chosen occupation of the former customers in English; All for any.';
COMMENT ON COLUMN reporting.cohort_histogram.cohort_occupation_fr IS
    'Chosen occupation of the former customers in French; Tous for any.';
COMMENT ON COLUMN reporting.cohort_histogram.cohort_region_en IS
    'Chosen rating of the home region of the former customers in English; All for any.';
COMMENT ON COLUMN reporting.cohort_histogram.cohort_region_fr IS
    'Chosen rating of the home region of the former customers in French; Tous for any.';
COMMENT ON COLUMN reporting.cohort_histogram.cohort_contract_en IS
    'Chosen type of credit of the former customers in English; All for any.';
COMMENT ON COLUMN reporting.cohort_histogram.cohort_contract_fr IS
    'Chosen type of credit of the former customers in French; Tous for any.';
COMMENT ON COLUMN reporting.cohort_histogram.cohort IS
    'What the aggregate cohort_bar needs to know of the bin and the cohort.';
