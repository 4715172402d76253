CREATE VIEW reporting.cohort_option AS
SELECT
    o.attribute,
    o.code,
    o.value,
    o.label_en,
    o.label_fr,
    o.repaid + o.defaulted AS members,
    o.defaulted
FROM credit.cohort_option AS o
WHERE o.model_id = (SELECT run.model_id FROM reporting.published_run AS run);

COMMENT ON VIEW reporting.cohort_option IS
    'What former customers can be filtered by: categories, and fifths of credit amount, age and annuity/income.';
COMMENT ON COLUMN reporting.cohort_option.attribute IS
    'Name of the filter, as in the columns cohort_..._en and cohort_..._fr of the views of cohorts.';
COMMENT ON COLUMN reporting.cohort_option.code IS
    'Number of the option among those of its attribute, in the order of lists; 0 is everybody.';
COMMENT ON COLUMN reporting.cohort_option.value IS
    'Category as written in the application file, or number of the band; empty for everybody and for a missing '
    'value.';
COMMENT ON COLUMN reporting.cohort_option.label_en IS 'The option in English.';
COMMENT ON COLUMN reporting.cohort_option.label_fr IS 'The option in French.';
COMMENT ON COLUMN reporting.cohort_option.members IS 'How many former customers it holds for.';
COMMENT ON COLUMN reporting.cohort_option.defaulted IS 'How many of these defaulted.';
