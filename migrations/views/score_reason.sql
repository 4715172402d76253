-- Of the shares of former customers below, at and above the value, the largest one is told: it says most.
CREATE VIEW reporting.score_reason AS
SELECT
    e.customer_id,
    (CASE e.direction WHEN 'lowers' THEN e.rank_in_direction ELSE 4 + e.rank_in_direction END)::integer AS ord,
    reporting.points_en(e.score_points, 1) || ': ' || told.bold_en || told.then_en AS reason_en,
    reporting.points_fr(e.score_points, 1) || U&'\00A0: ' || told.bold_fr || told.then_fr AS reason_fr,
    e.direction,
    e.score_points,
    CASE e.direction WHEN 'raises' THEN 'Raises the score' ELSE 'Lowers the score' END AS direction_en,
    CASE e.direction WHEN 'raises' THEN 'Augmente le score' ELSE 'Diminue le score' END AS direction_fr,
    badge.opening || reporting.arrow_en(e.score_points, 1) || '</span> <b>' || told.bold_en || '</b>' || told.then_en
        AS reason_html_en,
    badge.opening || reporting.arrow_fr(e.score_points, 1) || '</span> <b>' || told.bold_fr || '</b>' || told.then_fr
        AS reason_html_fr,
    e.feature,
    e.actionable,
    e.feature_group,
    e.group_label_en,
    e.group_label_fr
FROM reporting.explanation_group AS e
JOIN credit.feature AS f ON f.feature_id = e.feature_id
LEFT JOIN credit.former_distribution AS d
    ON d.model_id = (SELECT run.model_id FROM reporting.published_run AS run)
    AND d.feature_id = e.feature_id
    AND d.outcome = 'all'
LEFT JOIN LATERAL (
    SELECT
        sum(c.customers) FILTER (WHERE c.category_code = COALESCE(e.category_code, -1)) AS customers,
        100.0 * sum(c.defaulted) FILTER (WHERE c.category_code = COALESCE(e.category_code, -1))
            / NULLIF(sum(c.customers) FILTER (WHERE c.category_code = COALESCE(e.category_code, -1)), 0)
            AS default_rate,
        100.0 * sum(c.defaulted) / NULLIF(sum(c.customers), 0) AS overall_default_rate
    FROM credit.former_category AS c
    WHERE c.model_id = (SELECT run.model_id FROM reporting.published_run AS run) AND c.feature_id = e.feature_id
) AS same ON true
CROSS JOIN LATERAL (
    SELECT
        reporting.share_below(e.raw_value, d.quantiles, f.display_scale) AS below,
        -- Mirrored, what is above is below.
        reporting.share_below(e.raw_value, d.quantiles, -f.display_scale) AS above
) AS side
CROSS JOIN LATERAL (
    SELECT greatest(side.below, side.above, 100 - side.below - side.above)::double precision AS largest
) AS share
CROSS JOIN LATERAL (
    -- Of whom: the share is of those who have a value, which may be far from all.
    SELECT COALESCE(d.missing >= 0.005 * d.customers, false) AS not_of_all
) AS known
CROSS JOIN LATERAL (
    SELECT
        CASE
            WHEN e.kind IN ('category', 'flag') THEN
                ' = ' || e.value_en || CASE
                    WHEN same.customers >= 30 THEN
                        '; ' || reporting.quantity_en(same.default_rate::double precision, 1, '%')
                        || ' of such former customers defaulted, '
                        || reporting.quantity_en(same.overall_default_rate::double precision, 1, '%') || ' of all'
                    ELSE '; fewer than 30 former customers had this'
                END
            WHEN e.raw_value IS NULL THEN
                ' is not given, as for '
                || reporting.quantity_en(floor(100.0 * d.missing / NULLIF(d.customers, 0)), 0, '%')
                || ' of former customers'
            ELSE
                ' is ' || e.value_en || CASE
                    WHEN share.largest = side.below THEN ', higher than '
                    WHEN share.largest = side.above THEN ', lower than '
                    ELSE ', the same as '
                END || CASE
                    WHEN share.largest >= 100 THEN 'all former customers'
                    ELSE reporting.quantity_en(floor(share.largest), 0, '%') || ' of former customers'
                END || CASE WHEN known.not_of_all THEN ' with a value' ELSE '' END
        END AS rest_en,
        CASE
            WHEN e.kind IN ('category', 'flag') THEN
                ' = ' || e.value_fr || CASE
                    WHEN same.customers >= 30 THEN
                        U&'\00A0; ' || reporting.quantity_fr(same.default_rate::double precision, 1, '%')
                        || ' des anciens clients dans ce cas ont fait défaut, '
                        || reporting.quantity_fr(same.overall_default_rate::double precision, 1, '%') || ' de tous'
                    ELSE U&'\00A0; moins de 30 anciens clients dans ce cas'
                END
            WHEN e.raw_value IS NULL THEN
                ' = non renseigné, comme pour '
                || reporting.quantity_fr(floor(100.0 * d.missing / NULLIF(d.customers, 0)), 0, '%')
                || ' des anciens clients'
            ELSE
                ' = ' || e.value_fr || CASE
                    WHEN share.largest = side.below THEN ', plus que '
                    WHEN share.largest = side.above THEN ', moins que '
                    ELSE ', comme '
                END || CASE
                    WHEN share.largest >= 100 THEN 'tous les anciens clients'
                    ELSE reporting.quantity_fr(floor(share.largest), 0, '%') || ' des anciens clients'
                END || CASE WHEN known.not_of_all THEN ' dont la valeur est connue' ELSE '' END
        END AS rest_fr
) AS said
CROSS JOIN LATERAL (
    SELECT
        '<span style="background:' || CASE e.direction WHEN 'raises' THEN '#0072B2' ELSE '#B34700' END
        || ';color:#fff;border-radius:10px;padding:1px 8px">' AS opening
) AS badge
-- Where more than one feature counts, the group is named, and the one that speaks for it follows in brackets.
CROSS JOIN LATERAL (
    SELECT
        CASE WHEN e.features > 1 THEN e.group_label_en ELSE e.label_en END AS bold_en,
        CASE WHEN e.features > 1 THEN e.group_label_fr ELSE e.label_fr END AS bold_fr,
        CASE WHEN e.features > 1 THEN ' (' || e.label_en || said.rest_en || ')' ELSE said.rest_en END AS then_en,
        CASE WHEN e.features > 1 THEN ' (' || e.label_fr || said.rest_fr || ')' ELSE said.rest_fr END AS then_fr
) AS told
WHERE e.rank_in_direction <= 4 AND e.direction <> 'none' AND abs(e.score_points) >= 0.05;

COMMENT ON VIEW reporting.score_reason IS
    'The main reasons for the score of each applicant of the published run as sentences: up to four groups of features '
    'that lower it, then up to four that raise it, each by 0.05 points or more. Ask for some customers.';
COMMENT ON COLUMN reporting.score_reason.customer_id IS 'Application number.';
COMMENT ON COLUMN reporting.score_reason.ord IS
    'Place of the reason: 1 to 4 lower the score, 5 to 8 raise it, the strongest of each first.';
COMMENT ON COLUMN reporting.score_reason.reason_en IS 'The reason as a sentence in English.';
COMMENT ON COLUMN reporting.score_reason.reason_fr IS 'The reason as a sentence in French.';
COMMENT ON COLUMN reporting.score_reason.direction IS 'What it does to the score: raises or lowers.';
COMMENT ON COLUMN reporting.score_reason.score_points IS
    'What all features of the group together do to the score, in points; positive raises the score.';
COMMENT ON COLUMN reporting.score_reason.direction_en IS 'Whether it raises or lowers the score, in English.';
COMMENT ON COLUMN reporting.score_reason.direction_fr IS 'Whether it raises or lowers the score, in French.';
COMMENT ON COLUMN reporting.score_reason.reason_html_en IS 'The reason in English with a badge and bold type (HTML).';
COMMENT ON COLUMN reporting.score_reason.reason_html_fr IS 'The reason in French with a badge and bold type (HTML).';
COMMENT ON COLUMN reporting.score_reason.feature IS
    'The feature that speaks for the group: column name as in the application file, or name of the derived feature.';
COMMENT ON COLUMN reporting.score_reason.actionable IS
    'Whether applicants can soundly change the value of that feature themselves before they apply again.';
COMMENT ON COLUMN reporting.score_reason.feature_group IS
    'Name of the group of features that say the same thing, see feature; no two reasons of a customer share one.';
COMMENT ON COLUMN reporting.score_reason.group_label_en IS 'Short name of the group in English.';
COMMENT ON COLUMN reporting.score_reason.group_label_fr IS 'Short name of the group in French.';
