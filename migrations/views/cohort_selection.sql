-- Every combination of the options of all attributes, of which conditions on the words leave one, or a few. The
-- first rows of each attribute have no words, so any condition takes them away; where there is none, they raise
-- an error before anything is combined. Found cheap by the planner, a condition is tested before that.
CREATE VIEW reporting.cohort_selection AS
WITH model AS (
    SELECT run.model_id FROM reporting.published_run AS run
),
option AS MATERIALIZED (
    SELECT o.attribute, NULL::smallint AS code, NULL AS label_en, NULL AS label_fr
    FROM credit.cohort_option AS o
    WHERE o.model_id = (SELECT m.model_id FROM model AS m) AND o.code = 0
    UNION ALL
    SELECT o.attribute, o.code, o.label_en, o.label_fr
    FROM credit.cohort_option AS o
    WHERE o.model_id = (SELECT m.model_id FROM model AS m)
)
SELECT
    credit.label_en AS cohort_credit_en,
    credit.label_fr AS cohort_credit_fr,
    age.label_en AS cohort_age_en,
    age.label_fr AS cohort_age_fr,
    annuity_income.label_en AS cohort_annuity_income_en,
    annuity_income.label_fr AS cohort_annuity_income_fr,
    gender.label_en AS cohort_gender_en,
    gender.label_fr AS cohort_gender_fr,
    education.label_en AS cohort_education_en,
    education.label_fr AS cohort_education_fr,
    family.label_en AS cohort_family_en,
    family.label_fr AS cohort_family_fr,
    housing.label_en AS cohort_housing_en,
    housing.label_fr AS cohort_housing_fr,
    occupation.label_en AS cohort_occupation_en,
    occupation.label_fr AS cohort_occupation_fr,
    region.label_en AS cohort_region_en,
    region.label_fr AS cohort_region_fr,
    contract.label_en AS cohort_contract_en,
    contract.label_fr AS cohort_contract_fr,
    ARRAY[
        (SELECT m.model_id FROM model AS m)::integer,
        NULL, NULL, NULL,
        credit.code,
        age.code,
        annuity_income.code,
        gender.code,
        education.code,
        family.code,
        housing.code,
        occupation.code,
        region.code,
        contract.code
    ] AS cohort
FROM option AS credit
CROSS JOIN option AS age
CROSS JOIN option AS annuity_income
CROSS JOIN option AS gender
CROSS JOIN option AS education
CROSS JOIN option AS family
CROSS JOIN option AS housing
CROSS JOIN option AS occupation
CROSS JOIN option AS region
CROSS JOIN option AS contract
WHERE credit.attribute = 'credit'
    AND (credit.code IS NOT NULL OR reporting.choose_every_filter())
    AND age.attribute = 'age'
    AND (age.code IS NOT NULL OR reporting.choose_every_filter())
    AND annuity_income.attribute = 'annuity_income'
    AND (annuity_income.code IS NOT NULL OR reporting.choose_every_filter())
    AND gender.attribute = 'gender'
    AND (gender.code IS NOT NULL OR reporting.choose_every_filter())
    AND education.attribute = 'education'
    AND (education.code IS NOT NULL OR reporting.choose_every_filter())
    AND family.attribute = 'family'
    AND (family.code IS NOT NULL OR reporting.choose_every_filter())
    AND housing.attribute = 'housing'
    AND (housing.code IS NOT NULL OR reporting.choose_every_filter())
    AND occupation.attribute = 'occupation'
    AND (occupation.code IS NOT NULL OR reporting.choose_every_filter())
    AND region.attribute = 'region'
    AND (region.code IS NOT NULL OR reporting.choose_every_filter())
    AND contract.attribute = 'contract'
    AND (contract.code IS NOT NULL OR reporting.choose_every_filter());

COMMENT ON VIEW reporting.cohort_selection IS
    'Cohorts of former customers by ten filters: ask for a value, or All, of each of them in one language; '
    'without, it refuses. Other views of cohorts build on it.';
COMMENT ON COLUMN reporting.cohort_selection.cohort_credit_en IS
    'Chosen credit amount of the former customers in English; All for any.';
COMMENT ON COLUMN reporting.cohort_selection.cohort_credit_fr IS
    'Chosen credit amount of the former customers in French; Tous for any.';
COMMENT ON COLUMN reporting.cohort_selection.cohort_age_en IS
    'Chosen age of the former customers in English; All for any.';
COMMENT ON COLUMN reporting.cohort_selection.cohort_age_fr IS
    'Chosen age of the former customers in French; Tous for any.';
COMMENT ON COLUMN reporting.cohort_selection.cohort_annuity_income_en IS
    'Chosen annuity as a share of income of the former customers in English; All for any.';
COMMENT ON COLUMN reporting.cohort_selection.cohort_annuity_income_fr IS
    'Chosen annuity as a share of income of the former customers in French; Tous for any.';
COMMENT ON COLUMN reporting.cohort_selection.cohort_gender_en IS
    'Chosen gender of the former customers in English; All for any.';
COMMENT ON COLUMN reporting.cohort_selection.cohort_gender_fr IS
    'Chosen gender of the former customers in French; Tous for any.';
COMMENT ON COLUMN reporting.cohort_selection.cohort_education_en IS
    'Chosen education of the former customers in English; All for any.';
COMMENT ON COLUMN reporting.cohort_selection.cohort_education_fr IS
    'Chosen education of the former customers in French; Tous for any.';
COMMENT ON COLUMN reporting.cohort_selection.cohort_family_en IS
    'Chosen family status of the former customers in English; All for any.';
COMMENT ON COLUMN reporting.cohort_selection.cohort_family_fr IS
    'Chosen family status of the former customers in French; Tous for any.';
COMMENT ON COLUMN reporting.cohort_selection.cohort_housing_en IS
    'Chosen housing situation of the former customers in English; All for any.';
COMMENT ON COLUMN reporting.cohort_selection.cohort_housing_fr IS
    'Chosen housing situation of the former customers in French; Tous for any.';
COMMENT ON COLUMN reporting.cohort_selection.cohort_occupation_en IS
    'Chosen occupation of the former customers in English; All for any.';
COMMENT ON COLUMN reporting.cohort_selection.cohort_occupation_fr IS
    'Chosen occupation of the former customers in French; Tous for any.';
COMMENT ON COLUMN reporting.cohort_selection.cohort_region_en IS
    'Chosen rating of the home region of the former customers in English; All for any.';
COMMENT ON COLUMN reporting.cohort_selection.cohort_region_fr IS
    'Chosen rating of the home region of the former customers in French; Tous for any.';
COMMENT ON COLUMN reporting.cohort_selection.cohort_contract_en IS
    'Chosen type of credit of the former customers in English; All for any.';
COMMENT ON COLUMN reporting.cohort_selection.cohort_contract_fr IS
    'Chosen type of credit of the former customers in French; Tous for any.';
COMMENT ON COLUMN reporting.cohort_selection.cohort IS
    'What aggregates need to know of the cohort, see cohort_summary and cohort_rate.';
