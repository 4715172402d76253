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
SELECT (s.words).*, s.cohort, s.words
FROM (
    SELECT
        ROW(
            credit.label_en, credit.label_fr,
            age.label_en, age.label_fr,
            annuity_income.label_en, annuity_income.label_fr,
            gender.label_en, gender.label_fr,
            education.label_en, education.label_fr,
            family.label_en, family.label_fr,
            housing.label_en, housing.label_fr,
            occupation.label_en, occupation.label_fr,
            region.label_en, region.label_fr,
            contract.label_en, contract.label_fr
        )::reporting.cohort_words AS words,
        ROW(
            (SELECT m.model_id FROM model AS m),
            NULL,
            NULL,
            NULL,
            ARRAY[
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
            ]::integer[],
            NULL
        )::reporting.cohort_row AS cohort
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
        AND (contract.code IS NOT NULL OR reporting.choose_every_filter())
) AS s;

COMMENT ON VIEW reporting.cohort_selection IS
    'Cohorts of former customers by ten filters: ask for a value, or All, of each of them in one language; '
    'without, it refuses. Other views of cohorts build on it.';
COMMENT ON COLUMN reporting.cohort_selection.cohort IS
    'What aggregates need to know of the cohort, see cohort_summary and cohort_rate.';
COMMENT ON COLUMN reporting.cohort_selection.words IS
    'The same words as one value, for the views that build on this one.';
