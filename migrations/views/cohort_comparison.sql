CREATE VIEW reporting.cohort_comparison AS
SELECT
    c.customer_id,
    c.feature,
    c.feature_en,
    c.feature_fr,
    c.feature_order,
    o.outcome,
    o.outcome_en,
    o.outcome_fr,
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
    ARRAY[s.cohort[1], c.feature_id, o.target, c.customer_code] || s.cohort[5:14] AS cohort
FROM reporting.cohort_customer AS c
CROSS JOIN (VALUES (0, 'repaid', 'Repaid', 'Remboursé'), (1, 'defaulted', 'Defaulted', 'En défaut'))
    AS o (target, outcome, outcome_en, outcome_fr)
CROSS JOIN reporting.cohort_selection AS s;

COMMENT ON VIEW reporting.cohort_comparison IS
    'One applicant of the published run beside any cohort of former customers, per feature and outcome: ask for '
    'one customer_id and a value, or All, of each filter in one language, group by feature and outcome, and take '
    'figures by (reporting.cohort_summary(cohort)).median.';
COMMENT ON COLUMN reporting.cohort_comparison.customer_id IS 'Application number.';
COMMENT ON COLUMN reporting.cohort_comparison.feature IS 'Name of the feature, see cohort_feature.';
COMMENT ON COLUMN reporting.cohort_comparison.feature_en IS 'Short name with unit in English.';
COMMENT ON COLUMN reporting.cohort_comparison.feature_fr IS 'Short name with unit in French.';
COMMENT ON COLUMN reporting.cohort_comparison.feature_order IS 'Place in lists, from 1.';
COMMENT ON COLUMN reporting.cohort_comparison.unit_en IS 'Unit in English; empty text if there is none.';
COMMENT ON COLUMN reporting.cohort_comparison.unit_fr IS 'Unit in French; empty text if there is none.';
COMMENT ON COLUMN reporting.cohort_comparison.decimals IS 'How many decimals people are shown.';
COMMENT ON COLUMN reporting.cohort_comparison.customer_value IS
    'The customer''s own value in the unit that people are shown; empty if missing.';
COMMENT ON COLUMN reporting.cohort_comparison.outcome IS
    'What became of the former customers: repaid or defaulted.';
COMMENT ON COLUMN reporting.cohort_comparison.outcome_en IS 'The outcome in English.';
COMMENT ON COLUMN reporting.cohort_comparison.outcome_fr IS 'The outcome in French.';
COMMENT ON COLUMN reporting.cohort_comparison.cohort_credit_en IS
    'Chosen credit amount of the former customers in English; All for any.';
COMMENT ON COLUMN reporting.cohort_comparison.cohort_credit_fr IS
    'Chosen credit amount of the former customers in French; Tous for any.';
COMMENT ON COLUMN reporting.cohort_comparison.cohort_age_en IS
    'Chosen age of the former customers in English; All for any.';
COMMENT ON COLUMN reporting.cohort_comparison.cohort_age_fr IS
    'Chosen age of the former customers in French; Tous for any.';
COMMENT ON COLUMN reporting.cohort_comparison.cohort_annuity_income_en IS
    'Chosen annuity as a share of income of the former customers in English; All for any.';
COMMENT ON COLUMN reporting.cohort_comparison.cohort_annuity_income_fr IS
    'Chosen annuity as a share of income of the former customers in French; Tous for any.';
COMMENT ON COLUMN reporting.cohort_comparison.cohort_gender_en IS
    'Chosen gender of the former customers in English; All for any.';
COMMENT ON COLUMN reporting.cohort_comparison.cohort_gender_fr IS
    'Chosen gender of the former customers in French; Tous for any.';
COMMENT ON COLUMN reporting.cohort_comparison.cohort_education_en IS
    'Chosen education of the former customers in English; All for any.';
COMMENT ON COLUMN reporting.cohort_comparison.cohort_education_fr IS
    'Chosen education of the former customers in French; Tous for any.';
COMMENT ON COLUMN reporting.cohort_comparison.cohort_family_en IS
    'Chosen family status of the former customers in English; All for any.';
COMMENT ON COLUMN reporting.cohort_comparison.cohort_family_fr IS
    'Chosen family status of the former customers in French; Tous for any.';
COMMENT ON COLUMN reporting.cohort_comparison.cohort_housing_en IS
    'Chosen housing situation of the former customers in English; All for any.';
COMMENT ON COLUMN reporting.cohort_comparison.cohort_housing_fr IS
    'Chosen housing situation of the former customers in French; Tous for any.';
COMMENT ON COLUMN reporting.cohort_comparison.cohort_occupation_en IS
    'Chosen occupation of the former customers in English; All for any.';
COMMENT ON COLUMN reporting.cohort_comparison.cohort_occupation_fr IS
    'Chosen occupation of the former customers in French; Tous for any.';
COMMENT ON COLUMN reporting.cohort_comparison.cohort_region_en IS
    'Chosen rating of the home region of the former customers in English; All for any.';
COMMENT ON COLUMN reporting.cohort_comparison.cohort_region_fr IS
    'Chosen rating of the home region of the former customers in French; Tous for any.';
COMMENT ON COLUMN reporting.cohort_comparison.cohort_contract_en IS
    'Chosen type of credit of the former customers in English; All for any.';
COMMENT ON COLUMN reporting.cohort_comparison.cohort_contract_fr IS
    'Chosen type of credit of the former customers in French; Tous for any.';
COMMENT ON COLUMN reporting.cohort_comparison.cohort IS
    'What the aggregate cohort_summary needs to know of the cohort and the customer.';
