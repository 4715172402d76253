CREATE VIEW reporting.customer_reason AS
SELECT
    r.customer_id,
    r.ord,
    r.part,
    r.part_en,
    r.part_fr,
    r.reason_code,
    r.reason_en,
    r.reason_fr,
    r.value_en,
    r.value_fr,
    r.compared_en,
    r.compared_fr,
    r.action_en,
    r.action_fr,
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
    'The main reasons for one applicant of the published run: why the application is not accepted, then what else moves '
    'the score and may be told. Ask for one customer_id at a time, or ask score_reason for several.';
COMMENT ON COLUMN reporting.customer_reason.customer_id IS 'Application number.';
COMMENT ON COLUMN reporting.customer_reason.ord IS
    'Place: 1 to 4 are the reasons for the decision, 5 to 8 lower the score, 9 to 12 raise it, the strongest of each '
    'first.';
COMMENT ON COLUMN reporting.customer_reason.part IS
    'decision: a reason for not accepting, as recorded; score: something else that moves the score.';
COMMENT ON COLUMN reporting.customer_reason.part_en IS 'What part it is in English.';
COMMENT ON COLUMN reporting.customer_reason.part_fr IS 'What part it is in French.';
COMMENT ON COLUMN reporting.customer_reason.reason_code IS
    'Code of the reason in the catalogue; empty for what else moves the score.';
COMMENT ON COLUMN reporting.customer_reason.reason_en IS
    'In English: what the catalogue says to the advisor, or the name of the group of features.';
COMMENT ON COLUMN reporting.customer_reason.reason_fr IS
    'In French: what the catalogue says to the advisor, or the name of the group of features.';
COMMENT ON COLUMN reporting.customer_reason.value_en IS 'The feature that speaks for it, and the applicant''s value, in English.';
COMMENT ON COLUMN reporting.customer_reason.value_fr IS 'The feature that speaks for it, and the applicant''s value, in French.';
COMMENT ON COLUMN reporting.customer_reason.compared_en IS
    'How that value compares with former customers, in English; empty for reasons for the decision.';
COMMENT ON COLUMN reporting.customer_reason.compared_fr IS
    'How that value compares with former customers, in French; empty for reasons for the decision.';
COMMENT ON COLUMN reporting.customer_reason.action_en IS
    'What the customer can do about it, in English; empty where nothing honestly can be done.';
COMMENT ON COLUMN reporting.customer_reason.action_fr IS
    'What the customer can do about it, in French; empty where nothing honestly can be done.';
COMMENT ON COLUMN reporting.customer_reason.direction IS 'What it does to the score: raises or lowers.';
COMMENT ON COLUMN reporting.customer_reason.score_points IS
    'In score points. For a reason for the decision: beside accepted former customers near the line, never above 0. For '
    'what else moves the score: all features of the group together, positive raises it.';
COMMENT ON COLUMN reporting.customer_reason.direction_en IS 'Whether it raises or lowers the score, in English.';
COMMENT ON COLUMN reporting.customer_reason.direction_fr IS 'Whether it raises or lowers the score, in French.';
COMMENT ON COLUMN reporting.customer_reason.reason_html_en IS 'All of it in English with a badge and bold type (HTML).';
COMMENT ON COLUMN reporting.customer_reason.reason_html_fr IS 'All of it in French with a badge and bold type (HTML).';
COMMENT ON COLUMN reporting.customer_reason.feature IS
    'The feature that speaks for the group: column name as in the application file, or name of the derived feature.';
COMMENT ON COLUMN reporting.customer_reason.actionable IS
    'Whether applicants can soundly change the value of that feature themselves before they apply again.';
COMMENT ON COLUMN reporting.customer_reason.feature_group IS
    'Name of that feature''s group of features that say the same thing, see feature.';
COMMENT ON COLUMN reporting.customer_reason.group_label_en IS 'Short name of the group in English.';
COMMENT ON COLUMN reporting.customer_reason.group_label_fr IS 'Short name of the group in French.';
