CREATE VIEW reporting.customer_reason AS
SELECT
    r.customer_id,
    r.ord,
    r.reason_en,
    r.reason_fr,
    r.direction,
    r.score_points,
    r.direction_en,
    r.direction_fr,
    r.reason_html_en,
    r.reason_html_fr,
    r.feature,
    r.actionable,
    r.feature_group,
    r.group_label_en,
    r.group_label_fr
FROM reporting.score_reason AS r
WHERE reporting.one_customer(r.customer_id);

COMMENT ON VIEW reporting.customer_reason IS
    'The main reasons for the score of one applicant of the published run as sentences: up to four groups of features '
    'that lower it, then up to four that raise it, each by 0.05 points or more. Ask for one customer_id at a time, or '
    'ask score_reason for several.';
COMMENT ON COLUMN reporting.customer_reason.customer_id IS 'Application number.';
COMMENT ON COLUMN reporting.customer_reason.ord IS
    'Place of the reason: 1 to 4 lower the score, 5 to 8 raise it, the strongest of each first.';
COMMENT ON COLUMN reporting.customer_reason.reason_en IS 'The reason as a sentence in English.';
COMMENT ON COLUMN reporting.customer_reason.reason_fr IS 'The reason as a sentence in French.';
COMMENT ON COLUMN reporting.customer_reason.direction IS 'What it does to the score: raises or lowers.';
COMMENT ON COLUMN reporting.customer_reason.score_points IS
    'What all features of the group together do to the score, in points; positive raises the score.';
COMMENT ON COLUMN reporting.customer_reason.direction_en IS 'Whether it raises or lowers the score, in English.';
COMMENT ON COLUMN reporting.customer_reason.direction_fr IS 'Whether it raises or lowers the score, in French.';
COMMENT ON COLUMN reporting.customer_reason.reason_html_en IS 'The reason in English with a badge and bold type (HTML).';
COMMENT ON COLUMN reporting.customer_reason.reason_html_fr IS 'The reason in French with a badge and bold type (HTML).';
COMMENT ON COLUMN reporting.customer_reason.feature IS
    'The feature that speaks for the group: column name as in the application file, or name of the derived feature.';
COMMENT ON COLUMN reporting.customer_reason.actionable IS
    'Whether applicants can soundly change the value of that feature themselves before they apply again.';
COMMENT ON COLUMN reporting.customer_reason.feature_group IS
    'Name of the group of features that say the same thing, see feature; no two reasons of a customer share one.';
COMMENT ON COLUMN reporting.customer_reason.group_label_en IS 'Short name of the group in English.';
COMMENT ON COLUMN reporting.customer_reason.group_label_fr IS 'Short name of the group in French.';
