CREATE VIEW reporting.customer_mover AS
SELECT
    p.customer_id,
    p.ord,
    p.label_en AS feature_label_en,
    p.label_fr AS feature_label_fr,
    p.points_change,
    reporting.arrow_en(p.points_change, 1) AS points_en,
    reporting.arrow_fr(p.points_change, 1) AS points_fr,
    CASE sign(round(p.points_change::numeric, 1))
        WHEN 1 THEN 'Raised the score'
        WHEN -1 THEN 'Lowered the score'
        ELSE 'Did not move the score'
    END AS direction_en,
    CASE sign(round(p.points_change::numeric, 1))
        WHEN 1 THEN 'A augmenté le score'
        WHEN -1 THEN 'A diminué le score'
        ELSE 'N''a pas changé le score'
    END AS direction_fr,
    p.previous_value_en,
    p.previous_value_fr,
    p.value_en,
    p.value_fr,
    p.kind IN ('total', 'direct') AS value_changed,
    p.feature,
    p.previous_as_of,
    p.as_of,
    p.kind,
    CASE p.kind
        WHEN 'total' THEN 'Changed in the file: whole effect'
        WHEN 'direct' THEN 'Changed in the file'
        WHEN 'interaction' THEN 'Not changed'
        WHEN 'model' THEN 'Another model'
        ELSE 'Other limits'
    END AS kind_en,
    CASE p.kind
        WHEN 'total' THEN U&'Modifié dans le dossier\00A0: effet entier'
        WHEN 'direct' THEN 'Modifié dans le dossier'
        WHEN 'interaction' THEN 'Non modifié'
        WHEN 'model' THEN 'Autre modèle'
        ELSE 'Autres limites'
    END AS kind_fr,
    p.sentence_en,
    p.sentence_fr
FROM reporting.score_change_part AS p
WHERE reporting.one_customer(p.customer_id)
UNION ALL
SELECT
    s.customer_id,
    0,
    said.sentence_en,
    said.sentence_fr,
    0,
    '',
    '',
    'Did not move the score',
    'N''a pas changé le score',
    NULL,
    NULL,
    NULL,
    NULL,
    false,
    NULL,
    s.previous_as_of,
    s.as_of,
    'none',
    '',
    '',
    said.sentence_en,
    said.sentence_fr
FROM reporting.customer_score AS s
CROSS JOIN LATERAL (
    SELECT
        CASE
            WHEN s.previous_score IS NULL THEN 'This is the first score: there is none before'
            ELSE 'Nothing changed since ' || to_char(s.previous_as_of, 'FMDD Mon YYYY')
        END AS sentence_en,
        CASE
            WHEN s.previous_score IS NULL THEN U&'C''est le premier score\00A0: il n''y en a pas avant'
            ELSE 'Rien n''a changé depuis le ' || to_char(s.previous_as_of, 'DD/MM/YYYY')
        END AS sentence_fr
) AS said
WHERE NOT EXISTS (SELECT FROM reporting.score_change_part AS p WHERE p.customer_id = s.customer_id);

COMMENT ON VIEW reporting.customer_mover IS
    'What moved the score of one applicant between the run published before and the published run: first what changed '
    'in the file, then everything else. The points add up to the change of the exact score. Where nothing '
    'changed, or there is no score before, one line says so. Ask for one customer_id at a time.';
COMMENT ON COLUMN reporting.customer_mover.customer_id IS 'Application number.';
COMMENT ON COLUMN reporting.customer_mover.ord IS
    'Place of the line: 0 that nothing changed; facts that changed by absolute points, at most 12; 13 those left; 14 '
    'what did not change; 15 '
    'the model; 16 the limits.';
COMMENT ON COLUMN reporting.customer_mover.feature_label_en IS
    'What it is in English; for a fact its columns of the file with their values before and after.';
COMMENT ON COLUMN reporting.customer_mover.feature_label_fr IS
    'What it is in French; for a fact its columns of the file with their values before and after.';
COMMENT ON COLUMN reporting.customer_mover.points_change IS 'By how many points it moved the score; positive raised it.';
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
COMMENT ON COLUMN reporting.customer_mover.value_changed IS 'Whether the line is of what changed in the file.';
COMMENT ON COLUMN reporting.customer_mover.feature IS
    'The changed column of the file that leads the line, see feature; empty where no fact is told.';
COMMENT ON COLUMN reporting.customer_mover.previous_as_of IS 'Date of the run that this one is compared with.';
COMMENT ON COLUMN reporting.customer_mover.as_of IS 'Date of the published run.';
COMMENT ON COLUMN reporting.customer_mover.kind IS
    'total, direct, interaction, model or limits, see score_change_part; none where nothing changed.';
COMMENT ON COLUMN reporting.customer_mover.kind_en IS 'The same in words in English.';
COMMENT ON COLUMN reporting.customer_mover.kind_fr IS 'The same in words in French.';
COMMENT ON COLUMN reporting.customer_mover.sentence_en IS 'The line in one sentence in English.';
COMMENT ON COLUMN reporting.customer_mover.sentence_fr IS 'The line in one sentence in French.';
