-- The chart sorts its steps by label, so a short label begins with as many spaces of no width (U+200B) as its place,
-- compared by their codes: letters come before them. Not a WITH query: one with a volatile
-- function is computed as a whole, for everybody, before the customer's id is looked at.
CREATE VIEW reporting.customer_waterfall AS
SELECT
    s.customer_id,
    s.ord,
    CASE s.ord WHEN 11 THEN 'All other features' ELSE s.label_en END AS step_en,
    CASE s.ord WHEN 11 THEN 'Toutes les autres' ELSE s.label_fr END AS step_fr,
    s.points,
    (repeat(U&'\200B', s.ord) || CASE s.ord WHEN 11 THEN 'All other features' ELSE s.name_en END) COLLATE "C" AS short_en,
    (repeat(U&'\200B', s.ord) || CASE s.ord WHEN 11 THEN 'Toutes les autres' ELSE s.name_fr END) COLLATE "C" AS short_fr
FROM (
    SELECT
        e.customer_id,
        -- The ten strongest that may be told are a step each, all others are one together.
        least(COALESCE(e.told_rank, 11), 11)::integer AS ord,
        sum(e.score_points) AS points,
        max(CASE WHEN e.features > 1 THEN e.group_label_en ELSE e.label_en || ' = ' || e.value_en END) AS label_en,
        max(CASE WHEN e.features > 1 THEN e.group_label_fr ELSE e.label_fr || ' = ' || e.value_fr END) AS label_fr,
        max(CASE WHEN e.features > 1 THEN e.group_label_en ELSE e.label_en END) AS name_en,
        max(CASE WHEN e.features > 1 THEN e.group_label_fr ELSE e.label_fr END) AS name_fr
    FROM reporting.explanation_group AS e
    WHERE reporting.one_customer(e.customer_id)
    GROUP BY e.customer_id, least(COALESCE(e.told_rank, 11), 11)
    UNION ALL
    SELECT s.customer_id, 0, run.base_score, 'Starting point', 'Point de départ', 'Starting point', 'Point de départ'
    FROM credit.score AS s
    CROSS JOIN reporting.published_run AS run
    WHERE s.run_id = (SELECT p.run_id FROM credit.published_run AS p) AND reporting.one_customer(s.customer_id)
) AS s
WHERE s.ord IN (0, 11) OR s.points <> 0;

COMMENT ON VIEW reporting.customer_waterfall IS
    'From the starting point to one applicant of the published run: the base score, the ten strongest groups of '
    'features that the policy lets be told, all others together. The points of all steps add up to the exact score. Ask for one customer_id at a '
    'time.';
COMMENT ON COLUMN reporting.customer_waterfall.customer_id IS 'Application number.';
COMMENT ON COLUMN reporting.customer_waterfall.ord IS 'Place of the step: 0 the base score, 1 the strongest group.';
COMMENT ON COLUMN reporting.customer_waterfall.step_en IS 'The step in English.';
COMMENT ON COLUMN reporting.customer_waterfall.step_fr IS 'The step in French.';
COMMENT ON COLUMN reporting.customer_waterfall.points IS
    'What the step adds to the score, in points; positive raises the score.';
COMMENT ON COLUMN reporting.customer_waterfall.short_en IS
    'The step in English without its value, after spaces of no width that sort it.';
COMMENT ON COLUMN reporting.customer_waterfall.short_fr IS
    'The step in French without its value, after spaces of no width that sort it.';
