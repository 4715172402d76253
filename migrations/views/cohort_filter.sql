-- Row n has the n-th option of each attribute; where an attribute has fewer, All again, so that the values of any
-- one column are just its options.
CREATE VIEW reporting.cohort_filter AS
WITH line AS (
    SELECT o.code, jsonb_object_agg('cohort_' || o.attribute || '_' || w.language, w.label) AS words
    FROM reporting.cohort_option AS o
    CROSS JOIN LATERAL (VALUES ('en', o.label_en), ('fr', o.label_fr)) AS w (language, label)
    GROUP BY o.code
)
SELECT l.code AS ord, filled.*, o.label_en AS cohort_like_en, o.label_fr AS cohort_like_fr
FROM line AS l
JOIN reporting.like_options() AS o ON o.is_chosen = (l.code = 1)
JOIN line AS everybody ON everybody.code = 0
CROSS JOIN LATERAL jsonb_populate_record(NULL::reporting.cohort_words, everybody.words || l.words) AS filled;

COMMENT ON VIEW reporting.cohort_filter IS
    'The values of the filters of cohorts, one column each: take the distinct values of one column, ordered by '
    'min(ord).';
COMMENT ON COLUMN reporting.cohort_filter.ord IS 'Place of the values in their lists; 0 is All.';
COMMENT ON COLUMN reporting.cohort_filter.cohort_like_en IS
    'Choices of "Like this customer" in English, for the views of cohorts that ask for one customer.';
COMMENT ON COLUMN reporting.cohort_filter.cohort_like_fr IS
    'Choices of "Like this customer" in French, for the views of cohorts that ask for one customer.';
