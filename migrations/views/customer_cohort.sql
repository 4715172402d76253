-- Row security leaves the applicants that the viewer may see.
CREATE VIEW reporting.customer_cohort AS
SELECT
    c.customer_id,
    (s.words).*,
    ROW(
        (s.cohort).model_id, NULL, NULL, NULL, (s.cohort).options, CASE WHEN l.is_chosen THEN c.customer_id END
    )::reporting.cohort_row AS cohort,
    l.label_en AS cohort_like_en,
    l.label_fr AS cohort_like_fr
FROM credit.score AS c
CROSS JOIN reporting.cohort_selection AS s
-- A cohort is restricted where every row says so: whoever does not choose asks about all.
CROSS JOIN reporting.like_options() AS l
WHERE c.run_id = (SELECT p.run_id FROM credit.published_run AS p) AND reporting.one_customer(c.customer_id);

COMMENT ON VIEW reporting.customer_cohort IS
    'The same as cohort_default_rate beside one applicant of the published run, so that a cohort may also be of the '
    'former customers most like this one: ask for one customer_id and a value, or All, of each filter in one '
    'language, and take figures by (reporting.cohort_rate(cohort)).default_rate.';
