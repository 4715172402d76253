CREATE VIEW reporting.customer_bar AS
SELECT
    e.customer_id,
    e.rank AS ord,
    e.feature,
    e.label_en || ' = ' || e.value_en AS feature_label_en,
    e.label_fr || ' = ' || e.value_fr AS feature_label_fr,
    e.score_points,
    CASE e.direction WHEN 'raises' THEN 'Raises the score' ELSE 'Lowers the score' END AS direction_en,
    CASE e.direction WHEN 'raises' THEN 'Augmente le score' ELSE 'Diminue le score' END AS direction_fr,
    reporting.arrow_en(e.score_points, 1) AS points_en,
    reporting.arrow_fr(e.score_points, 1) AS points_fr,
    e.direction,
    e.description_en,
    e.description_fr,
    e.actionable
FROM reporting.customer_explanation AS e
WHERE e.rank <= 15 AND e.direction <> 'none' AND reporting.one_customer(e.customer_id);

COMMENT ON VIEW reporting.customer_bar IS
    'The 15 features that move the score of one applicant of the published run most. Ask for one customer_id at a '
    'time.';
COMMENT ON COLUMN reporting.customer_bar.customer_id IS 'Application number.';
COMMENT ON COLUMN reporting.customer_bar.ord IS 'Place of the feature by absolute points, 1 is the largest.';
COMMENT ON COLUMN reporting.customer_bar.feature IS
    'Column name as in the application file, or name of the derived feature, see feature.';
COMMENT ON COLUMN reporting.customer_bar.feature_label_en IS 'The feature and the applicant''s value in English.';
COMMENT ON COLUMN reporting.customer_bar.feature_label_fr IS 'The feature and the applicant''s value in French.';
COMMENT ON COLUMN reporting.customer_bar.score_points IS
    'What the feature does to the score, in points; positive raises the score.';
COMMENT ON COLUMN reporting.customer_bar.direction_en IS 'Whether it raises or lowers the score, in English.';
COMMENT ON COLUMN reporting.customer_bar.direction_fr IS 'Whether it raises or lowers the score, in French.';
COMMENT ON COLUMN reporting.customer_bar.points_en IS 'The points with an arrow and a sign in English.';
COMMENT ON COLUMN reporting.customer_bar.points_fr IS 'The points with an arrow and a sign in French.';
COMMENT ON COLUMN reporting.customer_bar.direction IS 'What the feature does to the score: raises or lowers.';
COMMENT ON COLUMN reporting.customer_bar.description_en IS 'What the feature means, one sentence in English.';
COMMENT ON COLUMN reporting.customer_bar.description_fr IS 'What the feature means, one sentence in French.';
COMMENT ON COLUMN reporting.customer_bar.actionable IS
    'Whether applicants can soundly change the value themselves before they apply again.';
