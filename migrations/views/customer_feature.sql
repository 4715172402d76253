CREATE VIEW reporting.customer_feature AS
SELECT
    c.customer_id,
    c.rank,
    c.feature,
    c.label_en,
    c.label_fr,
    c.value_en,
    c.value_fr,
    c.score_points,
    reporting.arrow_en(c.score_points, 2) AS points_en,
    reporting.arrow_fr(c.score_points, 2) AS points_fr,
    c.percentile,
    CASE
        WHEN c.kind IN ('category', 'flag')
            THEN reporting.quantity_en(c.share_of_former, 0, '%') || ' had the same'
        ELSE reporting.quantity_en(c.median, f.display_decimals, f.unit_en)
    END AS former_en,
    CASE
        WHEN c.kind IN ('category', 'flag')
            THEN reporting.quantity_fr(c.share_of_former, 0, '%') || ' comme ce client'
        ELSE reporting.quantity_fr(c.median, f.display_decimals, f.unit_fr)
    END AS former_fr,
    c.default_rate,
    CASE WHEN c.actionable THEN 'yes' ELSE '' END AS actionable_en,
    CASE WHEN c.actionable THEN 'oui' ELSE '' END AS actionable_fr,
    f.description_en,
    f.description_fr,
    g.name AS feature_group,
    g.label_en AS group_label_en,
    g.label_fr AS group_label_fr,
    COALESCE(told.may_be_told, true) AS may_be_told,
    CASE WHEN COALESCE(told.may_be_told, true) THEN 'yes' ELSE 'no' END AS may_be_told_en,
    CASE WHEN COALESCE(told.may_be_told, true) THEN 'oui' ELSE 'non' END AS may_be_told_fr
FROM reporting.customer_comparison AS c
JOIN credit.feature AS f ON f.feature_id = c.feature_id
JOIN credit.feature_group AS g ON g.group_id = f.group_id
LEFT JOIN credit.policy_feature AS told
    ON told.policy_id = (SELECT max(newest.policy_id) FROM credit.policy AS newest)
    AND told.feature_id = c.feature_id
-- What the run's policy kept from scoring is nothing that the score rests on.
LEFT JOIN credit.policy_feature AS scored
    ON scored.policy_id = (SELECT run.policy_id FROM reporting.published_run AS run)
    AND scored.feature_id = c.feature_id
WHERE COALESCE(scored.may_score, true) AND c.outcome = 'all' AND reporting.one_customer(c.customer_id);

COMMENT ON VIEW reporting.customer_feature IS
    'Everything that the score of one applicant of the published run rests on, in words and numbers: a line per '
    'feature. Ask for one customer_id at a time.';
COMMENT ON COLUMN reporting.customer_feature.customer_id IS 'Application number.';
COMMENT ON COLUMN reporting.customer_feature.rank IS
    'Place by absolute contribution among the applicant''s features, 1 is the largest.';
COMMENT ON COLUMN reporting.customer_feature.feature IS
    'Column name as in the application file, or name of the derived feature, see feature.';
COMMENT ON COLUMN reporting.customer_feature.label_en IS 'Short name of the feature in English.';
COMMENT ON COLUMN reporting.customer_feature.label_fr IS 'Short name of the feature in French.';
COMMENT ON COLUMN reporting.customer_feature.value_en IS 'The applicant''s value in words and units in English.';
COMMENT ON COLUMN reporting.customer_feature.value_fr IS 'The applicant''s value in words and units in French.';
COMMENT ON COLUMN reporting.customer_feature.score_points IS
    'Contribution in score points; positive raises the score.';
COMMENT ON COLUMN reporting.customer_feature.points_en IS
    'The points in English with a sign that needs no colour: ▲ raises, ▼ lowers, = neither.';
COMMENT ON COLUMN reporting.customer_feature.points_fr IS
    'The points in French with a sign that needs no colour: ▲ raises, ▼ lowers, = neither.';
COMMENT ON COLUMN reporting.customer_feature.percentile IS
    'Share of former customers, in %, whose value is at or below the applicant''s; empty if missing, for a category '
    'or for a flag.';
COMMENT ON COLUMN reporting.customer_feature.former_en IS
    'Former customers in English: the median of a number, or how many had the same category.';
COMMENT ON COLUMN reporting.customer_feature.former_fr IS
    'Former customers in French: the median of a number, or how many had the same category.';
COMMENT ON COLUMN reporting.customer_feature.default_rate IS
    'Share of former customers with the same category who defaulted, in %; empty for a number.';
COMMENT ON COLUMN reporting.customer_feature.actionable_en IS
    '"yes" if applicants can soundly change the value before they apply again, else empty.';
COMMENT ON COLUMN reporting.customer_feature.actionable_fr IS
    '"oui" if applicants can soundly change the value before they apply again, else empty.';
COMMENT ON COLUMN reporting.customer_feature.description_en IS 'What the feature is, in English.';
COMMENT ON COLUMN reporting.customer_feature.description_fr IS 'What the feature is, in French.';
COMMENT ON COLUMN reporting.customer_feature.feature_group IS
    'Name of the group of features that say the same thing in other words, see explanation_group.';
COMMENT ON COLUMN reporting.customer_feature.group_label_en IS 'Short name of the group in English.';
COMMENT ON COLUMN reporting.customer_feature.group_label_fr IS 'Short name of the group in French.';
COMMENT ON COLUMN reporting.customer_feature.may_be_told IS
    'Whether the policy in force lets the feature be told as a reason.';
COMMENT ON COLUMN reporting.customer_feature.may_be_told_en IS 'The same in English.';
COMMENT ON COLUMN reporting.customer_feature.may_be_told_fr IS 'The same in French.';
