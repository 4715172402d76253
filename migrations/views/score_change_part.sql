-- Only what changed is read. What all other features moved is what is left of the change of the score, so that the
-- parts add up to it whatever was rounded. The customer comes first and everything else is looked up for it; OFFSET 0
-- keeps the planner from turning that round.
CREATE VIEW reporting.score_change_part AS
SELECT
    c.customer_id,
    p.ord::integer AS ord,
    p.kind,
    p.label_en,
    p.label_fr,
    p.points_change,
    p.label_en || CASE p.kind
        WHEN 'limits' THEN ''
        WHEN 'total' THEN ' (' || reporting.points_en(p.points_change, 1) || ' in all)'
        ELSE ' (' || reporting.points_en(p.points_change, 1) || ')'
    END AS sentence_en,
    p.label_fr || CASE p.kind
        WHEN 'limits' THEN ''
        WHEN 'total' THEN ' (' || reporting.points_fr(p.points_change, 1) || ' en tout)'
        ELSE ' (' || reporting.points_fr(p.points_change, 1) || ')'
    END AS sentence_fr,
    p.feature,
    p.previous_value_en,
    p.previous_value_fr,
    p.value_en,
    p.value_fr,
    c.previous_score,
    c.score,
    c.previous_decision,
    c.decision,
    c.previous_run_id,
    c.run_id,
    c.previous_as_of,
    c.as_of
FROM reporting.score_change AS c
CROSS JOIN LATERAL (
    WITH changed AS (
        SELECT
            v.feature_id,
            f.fact_id,
            f.origin,
            (v.contribution::double precision - w.contribution) * c.points_per_log_odds AS points,
            w.numeric_value AS previous_number,
            v.numeric_value AS number,
            w.category_code AS previous_code,
            v.category_code AS code
        FROM credit.shap_value AS v
        JOIN credit.shap_value AS w ON w.customer_id = v.customer_id AND w.feature_id = v.feature_id
        JOIN credit.feature AS f ON f.feature_id = v.feature_id
        WHERE v.run_id = (SELECT published.run_id FROM credit.published_run AS published)
            AND w.run_id = (SELECT run.previous_run_id FROM reporting.published_run AS run)
            AND v.customer_id = c.customer_id
            AND (v.numeric_value, v.category_code) IS DISTINCT FROM (w.numeric_value, w.category_code)
    ),
    named AS (
        -- A fact is told by its columns in the file; what is derived from them only where no column is.
        SELECT
            x.*,
            sum(x.points) OVER (PARTITION BY x.fact_id) AS fact_points,
            row_number() OVER (PARTITION BY x.fact_id ORDER BY x.origin, abs(x.points) DESC, x.feature_id) AS place,
            x.origin = min(x.origin) OVER (PARTITION BY x.fact_id) AS told
        FROM changed AS x
    ),
    said AS (
        SELECT
            n.fact_id,
            n.fact_points,
            n.place,
            f.name,
            f.label_en,
            f.label_fr,
            reporting.value_en(f.kind, n.previous_number * f.display_scale, f.display_decimals, f.unit_en,
                n.previous_code, previous.label_en) AS previous_value_en,
            reporting.value_fr(f.kind, n.previous_number * f.display_scale, f.display_decimals, f.unit_fr,
                n.previous_code, previous.label_fr) AS previous_value_fr,
            reporting.value_en(f.kind, n.number * f.display_scale, f.display_decimals, f.unit_en, n.code, k.label_en)
                AS value_en,
            reporting.value_fr(f.kind, n.number * f.display_scale, f.display_decimals, f.unit_fr, n.code, k.label_fr)
                AS value_fr
        FROM named AS n
        JOIN credit.feature AS f ON f.feature_id = n.feature_id
        LEFT JOIN credit.feature_category AS k ON k.feature_id = n.feature_id AND k.code = n.code
        LEFT JOIN credit.feature_category AS previous
            ON previous.feature_id = n.feature_id AND previous.code = n.previous_code
        WHERE n.told
    ),
    fact AS (
        SELECT
            s.fact_points AS points,
            row_number() OVER (ORDER BY abs(s.fact_points) DESC, s.fact_id) AS place,
            max(s.name) FILTER (WHERE s.place = 1) AS feature,
            max(s.previous_value_en) FILTER (WHERE s.place = 1) AS previous_value_en,
            max(s.previous_value_fr) FILTER (WHERE s.place = 1) AS previous_value_fr,
            max(s.value_en) FILTER (WHERE s.place = 1) AS value_en,
            max(s.value_fr) FILTER (WHERE s.place = 1) AS value_fr,
            string_agg(
                s.label_en || CASE
                    WHEN s.value_en = s.previous_value_en THEN ' = ' || s.value_en || ', slightly changed'
                    ELSE ': ' || s.previous_value_en || ' → ' || s.value_en
                END,
                '; ' ORDER BY s.place
            ) AS label_en,
            string_agg(
                s.label_fr || CASE
                    WHEN s.value_fr = s.previous_value_fr THEN ' = ' || s.value_fr || ', à peine modifié'
                    ELSE U&'\00A0: ' || s.previous_value_fr || ' → ' || s.value_fr
                END,
                U&'\00A0; ' ORDER BY s.place
            ) AS label_fr
        FROM said AS s
        GROUP BY s.fact_id, s.fact_points
    ),
    moved AS (
        -- With one changed fact and the same model there is nothing else that could have moved the score.
        SELECT
            COALESCE(sum(f.points), 0) AS points,
            count(*) AS facts,
            count(*) = 1 AND NOT c.model_changed AS alone,
            CASE WHEN c.model_changed THEN c.base_value_change * c.points_per_log_odds ELSE 0 END AS model_points
        FROM fact AS f
    )
    SELECT
        f.place AS ord,
        CASE WHEN m.alone THEN 'total' ELSE 'direct' END AS kind,
        f.label_en,
        f.label_fr,
        CASE WHEN m.alone THEN c.points_change ELSE f.points END AS points_change,
        f.feature,
        f.previous_value_en,
        f.previous_value_fr,
        f.value_en,
        f.value_fr
    FROM fact AS f
    CROSS JOIN moved AS m
    WHERE f.place <= 12
    UNION ALL
    SELECT
        13,
        'direct',
        count(*) || CASE WHEN count(*) = 1 THEN ' other fact' ELSE ' other facts' END || ' that changed',
        count(*) || CASE WHEN count(*) = 1 THEN ' autre élément modifié' ELSE ' autres éléments modifiés' END,
        sum(f.points),
        NULL, NULL, NULL, NULL, NULL
    FROM fact AS f
    WHERE f.place > 12
    HAVING count(*) > 0
    UNION ALL
    SELECT
        14,
        'interaction',
        CASE
            WHEN NOT c.model_changed THEN 'Other features, which count differently now'
            WHEN m.facts = 0 THEN 'Another model: the same facts, as it counts them'
            ELSE 'Another model: all other features, as it counts them'
        END,
        CASE
            WHEN NOT c.model_changed THEN 'Autres éléments, qui comptent autrement maintenant'
            WHEN m.facts = 0 THEN U&'Autre modèle\00A0: les mêmes éléments, tels qu''il les compte'
            ELSE U&'Autre modèle\00A0: tous les autres éléments, tels qu''il les compte'
        END,
        c.points_change - m.points - m.model_points,
        NULL, NULL, NULL, NULL, NULL
    FROM moved AS m
    -- Contributions are stored in single precision.
    WHERE NOT m.alone AND abs(c.points_change - m.points - m.model_points) >= 0.0001
    UNION ALL
    -- Two models start from two base scores, and that moves every score.
    SELECT
        15,
        'model',
        'Another model: starting point',
        U&'Autre modèle\00A0: point de départ',
        m.model_points,
        NULL,
        reporting.format_number_en(before.score, 1),
        reporting.format_number_fr(before.score, 1),
        reporting.format_number_en(run.base_score, 1),
        reporting.format_number_fr(run.base_score, 1)
    FROM moved AS m
    CROSS JOIN reporting.published_run AS run
    CROSS JOIN LATERAL (SELECT reporting.exact_score(run.base_value - c.base_value_change) AS score) AS before
    WHERE c.model_changed
    UNION ALL
    SELECT
        16,
        'limits',
        'Other limits of the decisions',
        'Autres limites des décisions',
        0,
        NULL, NULL, NULL, NULL, NULL
    WHERE c.limits_changed
    OFFSET 0
) AS p;

COMMENT ON VIEW reporting.score_change_part IS
    'What moved the score of each applicant between the run published before and the published run: first what changed '
    'in the file, one line per fact, then everything else. The points of an applicant''s lines add up to the change of '
    'the exact score. Ask for some customers, or for those whose decision changed.';
COMMENT ON COLUMN reporting.score_change_part.customer_id IS 'Application number.';
COMMENT ON COLUMN reporting.score_change_part.ord IS
    'Place of the line: facts that changed by absolute points, at most 12; 13 those left; 14 what did not change; 15 '
    'the model; 16 the limits.';
COMMENT ON COLUMN reporting.score_change_part.kind IS
    'total: the only fact that changed, so all of the change is its effect; direct: one of several facts that changed, '
    'with what its own features moved; interaction: features that did not change and count differently; model: where '
    'another model starts; limits: decisions have other limits, which moves no score.';
COMMENT ON COLUMN reporting.score_change_part.label_en IS
    'What it is in English; for a fact its columns of the file with their values before and after.';
COMMENT ON COLUMN reporting.score_change_part.label_fr IS
    'What it is in French; for a fact its columns of the file with their values before and after.';
COMMENT ON COLUMN reporting.score_change_part.points_change IS
    'By how many points it moved the score; positive raised it.';
COMMENT ON COLUMN reporting.score_change_part.sentence_en IS 'The same in one sentence in English.';
COMMENT ON COLUMN reporting.score_change_part.sentence_fr IS 'The same in one sentence in French.';
COMMENT ON COLUMN reporting.score_change_part.feature IS
    'The changed column of the file that leads the line, the strongest one, see feature; empty where no fact is told.';
COMMENT ON COLUMN reporting.score_change_part.previous_value_en IS
    'Value of that column in the run before, or the score that the model before started from, in English.';
COMMENT ON COLUMN reporting.score_change_part.previous_value_fr IS
    'Value of that column in the run before, or the score that the model before started from, in French.';
COMMENT ON COLUMN reporting.score_change_part.value_en IS
    'Value of that column in the published run, or the score that its model starts from, in English.';
COMMENT ON COLUMN reporting.score_change_part.value_fr IS
    'Value of that column in the published run, or the score that its model starts from, in French.';
COMMENT ON COLUMN reporting.score_change_part.previous_score IS 'Score in the run before.';
COMMENT ON COLUMN reporting.score_change_part.score IS 'Score in the published run, 0 (worst) to 100 (best).';
COMMENT ON COLUMN reporting.score_change_part.previous_decision IS 'Decision suggested by the run before.';
COMMENT ON COLUMN reporting.score_change_part.decision IS 'Decision suggested by the published run.';
COMMENT ON COLUMN reporting.score_change_part.previous_run_id IS
    'Newest run of the last date before this one whose details are still kept.';
COMMENT ON COLUMN reporting.score_change_part.run_id IS 'The published run.';
COMMENT ON COLUMN reporting.score_change_part.previous_as_of IS 'Date of the run that this one is compared with.';
COMMENT ON COLUMN reporting.score_change_part.as_of IS 'Date of the published run.';
