-- What the views of cohorts hand to their functions and aggregates.

-- Must be those of scoring/cohort.py.
CREATE FUNCTION reporting.cohort_attributes() RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ARRAY[
        'credit', 'age', 'annuity_income', 'gender', 'education',
        'family', 'housing', 'occupation', 'region', 'contract'
    ];
COMMENT ON FUNCTION reporting.cohort_attributes() IS
    'What former customers are filtered by, in the order of the chosen options of a cohort.';

CREATE TYPE reporting.cohort_words AS (
    cohort_credit_en text,
    cohort_credit_fr text,
    cohort_age_en text,
    cohort_age_fr text,
    cohort_annuity_income_en text,
    cohort_annuity_income_fr text,
    cohort_gender_en text,
    cohort_gender_fr text,
    cohort_education_en text,
    cohort_education_fr text,
    cohort_family_en text,
    cohort_family_fr text,
    cohort_housing_en text,
    cohort_housing_fr text,
    cohort_occupation_en text,
    cohort_occupation_fr text,
    cohort_region_en text,
    cohort_region_fr text,
    cohort_contract_en text,
    cohort_contract_fr text
);
COMMENT ON TYPE reporting.cohort_words IS
    'One option of each attribute in words: the columns that people filter by.';

CREATE FUNCTION reporting.like_options() RETURNS TABLE (is_chosen boolean, label_en text, label_fr text)
    LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 2
    BEGIN ATOMIC
        VALUES (false, 'All', 'Tous'), (true, 'Yes', 'Oui');
    END;
COMMENT ON FUNCTION reporting.like_options() IS
    'The choices of the filter "Like this customer", in words. There is no "No": it might be taken for the others.';

CREATE TYPE reporting.cohort_row AS (
    model_id integer,
    feature_id integer,
    outcome integer,
    customer_code integer,
    options integer[],
    like_customer integer
);
COMMENT ON TYPE reporting.cohort_row IS
    'What a row of cohort_comparison knows: a feature of the former customers with one outcome (0 repaid, 1 '
    'defaulted), the customer''s own value as theirs are coded, the code of one option of each attribute, and the '
    'applicant whom the cohort is to be like; empty for anybody.';

CREATE TYPE reporting.cohort_bar_row AS (
    members integer,
    given integer,
    outcome integer,
    options integer[],
    like_customer integer
);
COMMENT ON TYPE reporting.cohort_bar_row IS
    'What a row of cohort_histogram knows: how many of the former customers with one outcome and these options are '
    'in the bin, how many have a value at all, and the applicant whom they are like; empty for anybody.';

CREATE TYPE reporting.cohort_figures AS (
    members integer,
    given integer,
    q10 double precision,
    q25 double precision,
    median double precision,
    q75 double precision,
    q90 double precision,
    mean double precision,
    percentile double precision
);
COMMENT ON TYPE reporting.cohort_figures IS 'What cohort_summary says of one feature of a cohort.';

CREATE TYPE reporting.cohort_rates AS (
    members integer,
    repaid integer,
    defaulted integer,
    default_rate double precision,
    mean_score double precision
);
COMMENT ON TYPE reporting.cohort_rates IS 'What cohort_rate says of a whole cohort.';

CREATE TYPE reporting.cohort_bar_figures AS (
    members integer,
    given integer,
    share double precision
);
COMMENT ON TYPE reporting.cohort_bar_figures IS 'What cohort_bar says of one bar of a histogram.';
