CREATE VIEW reporting.cohort_default_rate AS
SELECT
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
    s.cohort
FROM reporting.cohort_selection AS s;

COMMENT ON VIEW reporting.cohort_default_rate IS
    'How many former customers any cohort has and how many of them defaulted: ask for a value, or All, of each '
    'filter in one language, and take figures by (reporting.cohort_rate(cohort)).default_rate.';
COMMENT ON COLUMN reporting.cohort_default_rate.cohort_credit_en IS
    'Chosen credit amount of the former customers in English; All for any.';
COMMENT ON COLUMN reporting.cohort_default_rate.cohort_credit_fr IS
    'Chosen credit amount of the former customers in French; Tous for any.';
COMMENT ON COLUMN reporting.cohort_default_rate.cohort_age_en IS
    'Chosen age of the former customers in English; All for any.';
COMMENT ON COLUMN reporting.cohort_default_rate.cohort_age_fr IS
    'Chosen age of the former customers in French; Tous for any.';
COMMENT ON COLUMN reporting.cohort_default_rate.cohort_annuity_income_en IS
    'Chosen annuity as a share of income of the former customers in English; All for any.';
COMMENT ON COLUMN reporting.cohort_default_rate.cohort_annuity_income_fr IS
    'Chosen annuity as a share of income of the former customers in French; Tous for any.';
COMMENT ON COLUMN reporting.cohort_default_rate.cohort_gender_en IS
    'Chosen gender of the former customers in English; All for any.';
COMMENT ON COLUMN reporting.cohort_default_rate.cohort_gender_fr IS
    'Chosen gender of the former customers in French; Tous for any.';
COMMENT ON COLUMN reporting.cohort_default_rate.cohort_education_en IS
    'Chosen education of the former customers in English; All for any.';
COMMENT ON COLUMN reporting.cohort_default_rate.cohort_education_fr IS
    'Chosen education of the former customers in French; Tous for any.';
COMMENT ON COLUMN reporting.cohort_default_rate.cohort_family_en IS
    'Chosen family status of the former customers in English; All for any.';
COMMENT ON COLUMN reporting.cohort_default_rate.cohort_family_fr IS
    'Chosen family status of the former customers in French; Tous for any.';
COMMENT ON COLUMN reporting.cohort_default_rate.cohort_housing_en IS
    'Chosen housing situation of the former customers in English; All for any.';
COMMENT ON COLUMN reporting.cohort_default_rate.cohort_housing_fr IS
    'Chosen housing situation of the former customers in French; Tous for any.';
COMMENT ON COLUMN reporting.cohort_default_rate.cohort_occupation_en IS
    'Chosen occupation of the former customers in English; All for any.';
COMMENT ON COLUMN reporting.cohort_default_rate.cohort_occupation_fr IS
    'Chosen occupation of the former customers in French; Tous for any.';
COMMENT ON COLUMN reporting.cohort_default_rate.cohort_region_en IS
    'Chosen rating of the home region of the former customers in English; All for any.';
COMMENT ON COLUMN reporting.cohort_default_rate.cohort_region_fr IS
    'Chosen rating of the home region of the former customers in French; Tous for any.';
COMMENT ON COLUMN reporting.cohort_default_rate.cohort_contract_en IS
    'Chosen type of credit of the former customers in English; All for any.';
COMMENT ON COLUMN reporting.cohort_default_rate.cohort_contract_fr IS
    'Chosen type of credit of the former customers in French; Tous for any.';
COMMENT ON COLUMN reporting.cohort_default_rate.cohort IS
    'What the aggregate cohort_rate needs to know of the cohort.';
