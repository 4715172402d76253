-- The customer comes first and everything else is looked up for it: without a customer the ranking below would be of
-- everybody before the first row could be refused. OFFSET 0 keeps the planner from turning that round.
CREATE VIEW reporting.customer_mover AS
SELECT
    s.customer_id,
    m.ord,
    m.feature_label_en,
    m.feature_label_fr,
    m.points_change,
    reporting.arrow_en(m.points_change, 1) AS points_en,
    reporting.arrow_fr(m.points_change, 1) AS points_fr,
    CASE WHEN m.points_change > 0 THEN 'Raised the score' ELSE 'Lowered the score' END AS direction_en,
    CASE WHEN m.points_change > 0 THEN 'A augmenté le score' ELSE 'A diminué le score' END AS direction_fr,
    m.previous_value_en,
    m.previous_value_fr,
    m.value_en,
    m.value_fr,
    m.value_changed,
    m.feature,
    run.previous_as_of,
    run.as_of
FROM credit.score AS s
CROSS JOIN reporting.published_run AS run
CROSS JOIN LATERAL (
    SELECT
        c.rank_of_change::integer AS ord,
        c.label_en || CASE
            WHEN c.value_en = c.previous_value_en THEN ' = ' || c.value_en
            ELSE ': ' || c.previous_value_en || ' → ' || c.value_en
        END AS feature_label_en,
        c.label_fr || CASE
            WHEN c.value_fr = c.previous_value_fr THEN ' = ' || c.value_fr
            ELSE U&'\00A0: ' || c.previous_value_fr || ' → ' || c.value_fr
        END AS feature_label_fr,
        c.points_change,
        c.previous_value_en,
        c.previous_value_fr,
        c.value_en,
        c.value_fr,
        c.value_changed,
        c.feature
    FROM reporting.customer_change AS c
    WHERE c.customer_id = s.customer_id AND c.rank_of_change <= 15
    UNION ALL
    -- Two models start from two base scores, and that moves every score.
    SELECT
        16,
        'Another model: starting point',
        U&'Autre modèle\00A0: point de départ',
        run.base_score - before.base_score,
        reporting.format_number_en(before.base_score, 1),
        reporting.format_number_fr(before.base_score, 1),
        reporting.format_number_en(run.base_score, 1),
        reporting.format_number_fr(run.base_score, 1),
        true,
        NULL
    FROM credit.score AS earlier
    JOIN credit.scoring_run AS r ON r.run_id = earlier.run_id
    JOIN credit.model_version AS m ON m.model_id = r.model_id
    CROSS JOIN LATERAL (SELECT reporting.exact_score(m.base_value) AS base_score) AS before
    WHERE earlier.run_id = run.previous_run_id
        AND earlier.customer_id = s.customer_id
        AND r.model_id <> run.model_id
    OFFSET 0
) AS m
WHERE s.run_id = (SELECT p.run_id FROM credit.published_run AS p)
    AND reporting.one_customer(s.customer_id)
    AND abs(m.points_change) >= 0.05;

COMMENT ON VIEW reporting.customer_mover IS
    'What moved the score of one applicant between the run published before and the published run: the 15 features '
    'whose points changed most, by 0.05 points or more, and the base score where the model is another one. None for an '
    'applicant who was not in both. Ask for one customer_id at a time.';
COMMENT ON COLUMN reporting.customer_mover.customer_id IS 'Application number.';
COMMENT ON COLUMN reporting.customer_mover.ord IS
    'Place of the feature by absolute change of points, 1 is the largest; 16 is the model.';
COMMENT ON COLUMN reporting.customer_mover.feature_label_en IS
    'The feature and its value before and after, in English; one value where both read alike.';
COMMENT ON COLUMN reporting.customer_mover.feature_label_fr IS
    'The feature and its value before and after, in French; one value where both read alike.';
COMMENT ON COLUMN reporting.customer_mover.points_change IS 'Points less previous points; positive raised the score.';
COMMENT ON COLUMN reporting.customer_mover.points_en IS 'The change with an arrow and a sign in English.';
COMMENT ON COLUMN reporting.customer_mover.points_fr IS 'The change with an arrow and a sign in French.';
COMMENT ON COLUMN reporting.customer_mover.direction_en IS 'Whether it raised or lowered the score, in English.';
COMMENT ON COLUMN reporting.customer_mover.direction_fr IS 'Whether it raised or lowered the score, in French.';
COMMENT ON COLUMN reporting.customer_mover.previous_value_en IS
    'Value in the run before, in words and units in English.';
COMMENT ON COLUMN reporting.customer_mover.previous_value_fr IS
    'Value in the run before, in words and units in French.';
COMMENT ON COLUMN reporting.customer_mover.value_en IS 'Value in the published run, in words and units in English.';
COMMENT ON COLUMN reporting.customer_mover.value_fr IS 'Value in the published run, in words and units in French.';
COMMENT ON COLUMN reporting.customer_mover.value_changed IS 'Whether the applicant''s value is another one than before.';
COMMENT ON COLUMN reporting.customer_mover.feature IS
    'Column name as in the application file, or name of the derived feature, see feature; empty for the model.';
COMMENT ON COLUMN reporting.customer_mover.previous_as_of IS 'Date of the run published just before.';
COMMENT ON COLUMN reporting.customer_mover.as_of IS 'Date of the published run.';
