CREATE VIEW reporting.cohort_default_rate AS
SELECT
    (s.words).*,
    s.cohort
FROM reporting.cohort_selection AS s;

COMMENT ON VIEW reporting.cohort_default_rate IS
    'How many former customers any cohort has and how many of them defaulted: ask for a value, or All, of each '
    'filter in one language, and take figures by (reporting.cohort_rate(cohort)).default_rate.';
COMMENT ON COLUMN reporting.cohort_default_rate.cohort IS
    'What the aggregate cohort_rate needs to know of the cohort.';
