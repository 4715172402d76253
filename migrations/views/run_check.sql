CREATE VIEW reporting.run_check AS
SELECT
    c.run_id,
    c.name,
    c.severity,
    c.observed,
    c.expected,
    c.passed
FROM credit.run_check AS c;

COMMENT ON VIEW reporting.run_check IS 'What was checked of each run before it was published, and what was seen.';
COMMENT ON COLUMN reporting.run_check.run_id IS 'The run, see run_history.';
COMMENT ON COLUMN reporting.run_check.name IS 'What was checked.';
COMMENT ON COLUMN reporting.run_check.severity IS
    'fail: the run is not published unless the check passes; warn: it is published all the same.';
COMMENT ON COLUMN reporting.run_check.observed IS 'What was seen.';
COMMENT ON COLUMN reporting.run_check.expected IS 'What should have been seen.';
COMMENT ON COLUMN reporting.run_check.passed IS 'Whether the two agree.';
