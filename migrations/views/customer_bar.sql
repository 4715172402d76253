CREATE VIEW reporting.customer_bar AS
SELECT
    e.customer_id,
    e.told_rank::integer AS ord,
    e.feature,
    CASE WHEN e.features > 1 THEN e.group_label_en || ' (' ELSE '' END || e.label_en || ' = ' || e.value_en
        || CASE WHEN e.features > 1 THEN ')' ELSE '' END AS feature_label_en,
    CASE WHEN e.features > 1 THEN e.group_label_fr || ' (' ELSE '' END || e.label_fr || ' = ' || e.value_fr
        || CASE WHEN e.features > 1 THEN ')' ELSE '' END AS feature_label_fr,
    e.score_points,
    CASE e.direction WHEN 'raises' THEN 'Raises the score' ELSE 'Lowers the score' END AS direction_en,
    CASE e.direction WHEN 'raises' THEN 'Augmente le score' ELSE 'Diminue le score' END AS direction_fr,
    reporting.arrow_en(e.score_points, 1) AS points_en,
    reporting.arrow_fr(e.score_points, 1) AS points_fr,
    e.direction,
    e.description_en,
    e.description_fr,
    e.actionable,
    e.feature_group,
    e.group_label_en,
    e.group_label_fr
FROM reporting.explanation_group AS e
WHERE e.told_rank <= 15 AND e.direction <> 'none' AND reporting.one_customer(e.customer_id);

COMMENT ON VIEW reporting.customer_bar IS
    'The 15 groups of features that move the score of one applicant of the published run most, of those that the policy '
    'lets be told. Ask for one customer_id at a time.';
COMMENT ON COLUMN reporting.customer_bar.customer_id IS 'Application number.';
COMMENT ON COLUMN reporting.customer_bar.ord IS 'Place of the group by absolute points, 1 is the largest.';
COMMENT ON COLUMN reporting.customer_bar.feature IS
    'The feature that speaks for the group: column name as in the application file, or name of the derived feature.';
COMMENT ON COLUMN reporting.customer_bar.feature_label_en IS
    'The group, the feature that speaks for it and the applicant''s value, in English.';
COMMENT ON COLUMN reporting.customer_bar.feature_label_fr IS
    'The group, the feature that speaks for it and the applicant''s value, in French.';
COMMENT ON COLUMN reporting.customer_bar.score_points IS
    'What the group does to the score, in points; positive raises the score.';
COMMENT ON COLUMN reporting.customer_bar.direction_en IS 'Whether it raises or lowers the score, in English.';
COMMENT ON COLUMN reporting.customer_bar.direction_fr IS 'Whether it raises or lowers the score, in French.';
COMMENT ON COLUMN reporting.customer_bar.points_en IS 'The points with an arrow and a sign in English.';
COMMENT ON COLUMN reporting.customer_bar.points_fr IS 'The points with an arrow and a sign in French.';
COMMENT ON COLUMN reporting.customer_bar.direction IS 'What the group does to the score: raises or lowers.';
COMMENT ON COLUMN reporting.customer_bar.description_en IS 'What the feature means, one sentence in English.';
COMMENT ON COLUMN reporting.customer_bar.description_fr IS 'What the feature means, one sentence in French.';
COMMENT ON COLUMN reporting.customer_bar.actionable IS
    'Whether applicants can soundly change the value themselves before they apply again.';
COMMENT ON COLUMN reporting.customer_bar.feature_group IS
    'Name of the group of features that say the same thing, see feature.';
COMMENT ON COLUMN reporting.customer_bar.group_label_en IS 'Short name of the group in English.';
COMMENT ON COLUMN reporting.customer_bar.group_label_fr IS 'Short name of the group in French.';
