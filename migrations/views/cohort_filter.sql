-- Row n has the n-th option of each attribute; where an attribute has fewer, All again, so that the values of any
-- one column are just its options.
CREATE VIEW reporting.cohort_filter AS
SELECT
    o.code AS ord,
    COALESCE(max(o.label_en) FILTER (WHERE o.attribute = 'credit'), 'All') AS cohort_credit_en,
    COALESCE(max(o.label_fr) FILTER (WHERE o.attribute = 'credit'), 'Tous') AS cohort_credit_fr,
    COALESCE(max(o.label_en) FILTER (WHERE o.attribute = 'age'), 'All') AS cohort_age_en,
    COALESCE(max(o.label_fr) FILTER (WHERE o.attribute = 'age'), 'Tous') AS cohort_age_fr,
    COALESCE(max(o.label_en) FILTER (WHERE o.attribute = 'annuity_income'), 'All') AS cohort_annuity_income_en,
    COALESCE(max(o.label_fr) FILTER (WHERE o.attribute = 'annuity_income'), 'Tous') AS cohort_annuity_income_fr,
    COALESCE(max(o.label_en) FILTER (WHERE o.attribute = 'gender'), 'All') AS cohort_gender_en,
    COALESCE(max(o.label_fr) FILTER (WHERE o.attribute = 'gender'), 'Tous') AS cohort_gender_fr,
    COALESCE(max(o.label_en) FILTER (WHERE o.attribute = 'education'), 'All') AS cohort_education_en,
    COALESCE(max(o.label_fr) FILTER (WHERE o.attribute = 'education'), 'Tous') AS cohort_education_fr,
    COALESCE(max(o.label_en) FILTER (WHERE o.attribute = 'family'), 'All') AS cohort_family_en,
    COALESCE(max(o.label_fr) FILTER (WHERE o.attribute = 'family'), 'Tous') AS cohort_family_fr,
    COALESCE(max(o.label_en) FILTER (WHERE o.attribute = 'housing'), 'All') AS cohort_housing_en,
    COALESCE(max(o.label_fr) FILTER (WHERE o.attribute = 'housing'), 'Tous') AS cohort_housing_fr,
    COALESCE(max(o.label_en) FILTER (WHERE o.attribute = 'occupation'), 'All') AS cohort_occupation_en,
    COALESCE(max(o.label_fr) FILTER (WHERE o.attribute = 'occupation'), 'Tous') AS cohort_occupation_fr,
    COALESCE(max(o.label_en) FILTER (WHERE o.attribute = 'region'), 'All') AS cohort_region_en,
    COALESCE(max(o.label_fr) FILTER (WHERE o.attribute = 'region'), 'Tous') AS cohort_region_fr,
    COALESCE(max(o.label_en) FILTER (WHERE o.attribute = 'contract'), 'All') AS cohort_contract_en,
    COALESCE(max(o.label_fr) FILTER (WHERE o.attribute = 'contract'), 'Tous') AS cohort_contract_fr
FROM credit.cohort_option AS o
WHERE o.model_id = (SELECT run.model_id FROM reporting.published_run AS run)
GROUP BY o.code;

COMMENT ON VIEW reporting.cohort_filter IS
    'The values of the filters of cohorts, one column each: take the distinct values of one column, ordered by '
    'min(ord).';
COMMENT ON COLUMN reporting.cohort_filter.ord IS 'Place of the values in their lists; 0 is All.';
COMMENT ON COLUMN reporting.cohort_filter.cohort_credit_en IS 'Choices by credit amount in English.';
COMMENT ON COLUMN reporting.cohort_filter.cohort_credit_fr IS 'Choices by credit amount in French.';
COMMENT ON COLUMN reporting.cohort_filter.cohort_age_en IS 'Choices by age in English.';
COMMENT ON COLUMN reporting.cohort_filter.cohort_age_fr IS 'Choices by age in French.';
COMMENT ON COLUMN reporting.cohort_filter.cohort_annuity_income_en IS
    'Choices by annuity as a share of income in English.';
COMMENT ON COLUMN reporting.cohort_filter.cohort_annuity_income_fr IS
    'Choices by annuity as a share of income in French.';
COMMENT ON COLUMN reporting.cohort_filter.cohort_gender_en IS 'Choices by gender in English.';
COMMENT ON COLUMN reporting.cohort_filter.cohort_gender_fr IS 'Choices by gender in French.';
COMMENT ON COLUMN reporting.cohort_filter.cohort_education_en IS 'Choices by education in English.';
COMMENT ON COLUMN reporting.cohort_filter.cohort_education_fr IS 'Choices by education in French.';
COMMENT ON COLUMN reporting.cohort_filter.cohort_family_en IS 'Choices by family status in English.';
COMMENT ON COLUMN reporting.cohort_filter.cohort_family_fr IS 'Choices by family status in French.';
COMMENT ON COLUMN reporting.cohort_filter.cohort_housing_en IS 'Choices by housing situation in English.';
COMMENT ON COLUMN reporting.cohort_filter.cohort_housing_fr IS 'Choices by housing situation in French.';
COMMENT ON COLUMN reporting.cohort_filter.cohort_occupation_en IS 'Choices by occupation in English.';
COMMENT ON COLUMN reporting.cohort_filter.cohort_occupation_fr IS 'Choices by occupation in French.';
COMMENT ON COLUMN reporting.cohort_filter.cohort_region_en IS 'Choices by rating of the home region in English.';
COMMENT ON COLUMN reporting.cohort_filter.cohort_region_fr IS 'Choices by rating of the home region in French.';
COMMENT ON COLUMN reporting.cohort_filter.cohort_contract_en IS 'Choices by type of credit in English.';
COMMENT ON COLUMN reporting.cohort_filter.cohort_contract_fr IS 'Choices by type of credit in French.';
