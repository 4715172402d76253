-- First the records: why the application is not accepted. Then what else moves the score, from the contributions.
-- Of the shares of former customers below, at and above a value, the largest one is told: it says most.
CREATE VIEW reporting.score_reason AS
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
    CASE r.direction WHEN 'raises' THEN 'Raises the score' WHEN 'lowers' THEN 'Lowers the score' END AS direction_en,
    CASE r.direction WHEN 'raises' THEN 'Augmente le score' WHEN 'lowers' THEN 'Diminue le score' END AS direction_fr,
    CASE WHEN r.begins THEN '<div style="font-size:11px;font-weight:600;opacity:.8;padding-bottom:3px">' || upper(r.part_en) || '</div>' ELSE '' END
        || COALESCE(badge.opening || reporting.arrow_en(r.score_points, 1) || '</span> ', '')
        || '<b>' || r.reason_en || '</b>'
        || CASE WHEN r.part = 'score' AND r.value_en NOT LIKE '=%' THEN ':' ELSE '' END
        || COALESCE(' ' || r.value_en, '')
        || CASE WHEN r.alone THEN ' (' || r.compared_en || ')' ELSE '' END
        || COALESCE('<br>→ ' || r.action_en, '') AS reason_html_en,
    CASE WHEN r.begins THEN '<div style="font-size:11px;font-weight:600;opacity:.8;padding-bottom:3px">' || upper(r.part_fr) || '</div>' ELSE '' END
        || COALESCE(badge.opening || reporting.arrow_fr(r.score_points, 1) || '</span> ', '')
        || '<b>' || r.reason_fr || '</b>'
        || CASE WHEN r.part = 'score' AND r.value_fr NOT LIKE '=%' THEN U&'\00A0:' ELSE '' END
        || COALESCE(' ' || r.value_fr, '')
        || CASE WHEN r.alone THEN ' (' || r.compared_fr || ')' ELSE '' END
        || COALESCE('<br>→ ' || r.action_fr, '') AS reason_html_fr,
    r.feature,
    r.actionable,
    r.feature_group,
    r.group_label_en,
    r.group_label_fr
FROM (
    SELECT
        d.customer_id,
        d.place::integer AS ord,
        'decision' AS part,
        'Why it is not accepted' AS part_en,
        'Pourquoi la demande n''est pas acceptée' AS part_fr,
        d.place = 1 AS begins,
        false AS alone,
        d.reason_code,
        d.advisor_en AS reason_en,
        d.advisor_fr AS reason_fr,
        d.feature_label_en || ' = ' || d.value_en AS value_en,
        d.feature_label_fr || ' = ' || d.value_fr AS value_fr,
        NULL AS compared_en,
        NULL AS compared_fr,
        d.action_en,
        d.action_fr,
        CASE WHEN d.score_points < 0 THEN 'lowers' END AS direction,
        d.score_points,
        d.feature,
        f.actionable,
        g.name AS feature_group,
        g.label_en AS group_label_en,
        g.label_fr AS group_label_fr
    FROM reporting.decision_reason AS d
    LEFT JOIN credit.feature AS f ON f.name = d.feature
    LEFT JOIN credit.feature_group AS g ON g.group_id = f.group_id
    WHERE d.run_id = (SELECT p.run_id FROM credit.published_run AS p)
    UNION ALL
    SELECT
        e.customer_id,
        (CASE e.direction WHEN 'lowers' THEN 4 ELSE 8 END + e.place)::integer,
        'score',
        CASE WHEN recorded.reasons THEN 'What else moves the score' ELSE 'What moves the score' END,
        CASE WHEN recorded.reasons THEN 'Ce qui joue aussi sur le score' ELSE 'Ce qui joue sur le score' END,
        row_number() OVER (PARTITION BY e.customer_id ORDER BY e.direction, e.place) = 1,
        NOT recorded.reasons,
        NULL,
        told.reason_en,
        told.reason_fr,
        told.value_en,
        told.value_fr,
        beside.compared_en,
        beside.compared_fr,
        NULL,
        NULL,
        e.direction,
        e.score_points,
        e.feature,
        e.actionable,
        e.feature_group,
        e.group_label_en,
        e.group_label_fr
    FROM (
        SELECT
            moved.*,
            row_number() OVER (PARTITION BY moved.customer_id, moved.direction ORDER BY moved.told_rank) AS place
        FROM reporting.explanation_group AS moved
        WHERE moved.may_be_told AND moved.direction <> 'none' AND abs(moved.score_points) >= 0.05
            -- What the decision's reasons gather is said already.
            AND NOT EXISTS (
                SELECT
                FROM credit.reason AS said
                JOIN credit.reason_text AS t ON t.catalogue_id = said.catalogue_id AND t.code = said.code
                WHERE said.run_id = moved.run_id AND said.customer_id = moved.customer_id
                    AND moved.feature_id = ANY (t.feature_ids)
            )
    ) AS e
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
                    CASE
                        WHEN same.customers >= 30 THEN
                            reporting.quantity_en(same.default_rate::double precision, 1, '%')
                            || ' of such former customers defaulted, '
                            || reporting.quantity_en(same.overall_default_rate::double precision, 1, '%') || ' of all'
                        ELSE 'fewer than 30 former customers had this'
                    END
                WHEN e.raw_value IS NULL THEN
                    'as for '
                    || reporting.quantity_en(floor(100.0 * d.missing / NULLIF(d.customers, 0)), 0, '%')
                    || ' of former customers'
                ELSE
                    CASE
                        WHEN share.largest = side.below THEN 'higher than '
                        WHEN share.largest = side.above THEN 'lower than '
                        ELSE 'the same as '
                    END || CASE
                        WHEN share.largest >= 100 THEN 'all former customers'
                        ELSE reporting.quantity_en(floor(share.largest), 0, '%') || ' of former customers'
                    END || CASE WHEN known.not_of_all THEN ' with a value' ELSE '' END
            END AS compared_en,
            CASE
                WHEN e.kind IN ('category', 'flag') THEN
                    CASE
                        WHEN same.customers >= 30 THEN
                            reporting.quantity_fr(same.default_rate::double precision, 1, '%')
                            || ' des anciens clients dans ce cas ont fait défaut, '
                            || reporting.quantity_fr(same.overall_default_rate::double precision, 1, '%') || ' de tous'
                        ELSE 'moins de 30 anciens clients dans ce cas'
                    END
                WHEN e.raw_value IS NULL THEN
                    'comme pour '
                    || reporting.quantity_fr(floor(100.0 * d.missing / NULLIF(d.customers, 0)), 0, '%')
                    || ' des anciens clients'
                ELSE
                    CASE
                        WHEN share.largest = side.below THEN 'plus que '
                        WHEN share.largest = side.above THEN 'moins que '
                        ELSE 'comme '
                    END || CASE
                        WHEN share.largest >= 100 THEN 'tous les anciens clients'
                        ELSE reporting.quantity_fr(floor(share.largest), 0, '%') || ' des anciens clients'
                    END || CASE WHEN known.not_of_all THEN ' dont la valeur est connue' ELSE '' END
            END AS compared_fr
    ) AS beside
    CROSS JOIN LATERAL (
        SELECT EXISTS (
            SELECT FROM credit.reason AS said WHERE said.run_id = e.run_id AND said.customer_id = e.customer_id
        ) AS reasons
    ) AS recorded
    -- Where more than one feature counts, the group is named, and the one that speaks for it stands beside it.
    CROSS JOIN LATERAL (
        SELECT
            CASE WHEN e.features > 1 THEN e.group_label_en ELSE e.label_en END AS reason_en,
            CASE WHEN e.features > 1 THEN e.group_label_fr ELSE e.label_fr END AS reason_fr,
            CASE WHEN e.features > 1 THEN e.label_en || ' ' ELSE '' END || '= ' || e.value_en AS value_en,
            CASE WHEN e.features > 1 THEN e.label_fr || ' ' ELSE '' END || '= ' || e.value_fr AS value_fr
    ) AS told
    -- After reasons for the decision there is less room.
    WHERE e.place <= CASE WHEN recorded.reasons THEN 3 ELSE 4 END
) AS r
CROSS JOIN LATERAL (
    SELECT
        '<span style="background:' || CASE r.direction WHEN 'raises' THEN '#0072B2' ELSE '#B34700' END
        || ';color:#fff;border-radius:10px;padding:1px 8px">' AS opening
) AS badge;

COMMENT ON VIEW reporting.score_reason IS
    'The main reasons for each applicant of the published run: up to four records of why it is not accepted (see '
    'decision_reason), then what else moves the score and may be told: up to three groups of features that lower it and '
    'up to three that raise it, four each where there are no reasons for the decision, each by 0.05 points or more. Ask '
    'for some customers.';
COMMENT ON COLUMN reporting.score_reason.customer_id IS 'Application number.';
COMMENT ON COLUMN reporting.score_reason.ord IS
    'Place: 1 to 4 are the reasons for the decision, 5 to 8 lower the score, 9 to 12 raise it, the strongest of each '
    'first.';
COMMENT ON COLUMN reporting.score_reason.part IS
    'decision: a reason for not accepting, as recorded; score: something else that moves the score.';
COMMENT ON COLUMN reporting.score_reason.part_en IS 'What part it is in English.';
COMMENT ON COLUMN reporting.score_reason.part_fr IS 'What part it is in French.';
COMMENT ON COLUMN reporting.score_reason.reason_code IS
    'Code of the reason in the catalogue; empty for what else moves the score.';
COMMENT ON COLUMN reporting.score_reason.reason_en IS
    'In English: what the catalogue says to the advisor, or the name of the group of features.';
COMMENT ON COLUMN reporting.score_reason.reason_fr IS
    'In French: what the catalogue says to the advisor, or the name of the group of features.';
COMMENT ON COLUMN reporting.score_reason.value_en IS 'The feature that speaks for it, and the applicant''s value, in English.';
COMMENT ON COLUMN reporting.score_reason.value_fr IS 'The feature that speaks for it, and the applicant''s value, in French.';
COMMENT ON COLUMN reporting.score_reason.compared_en IS
    'How that value compares with former customers, in English; empty for reasons for the decision.';
COMMENT ON COLUMN reporting.score_reason.compared_fr IS
    'How that value compares with former customers, in French; empty for reasons for the decision.';
COMMENT ON COLUMN reporting.score_reason.action_en IS
    'What the customer can do about it, in English; empty where nothing honestly can be done.';
COMMENT ON COLUMN reporting.score_reason.action_fr IS
    'What the customer can do about it, in French; empty where nothing honestly can be done.';
COMMENT ON COLUMN reporting.score_reason.direction IS 'What it does to the score: raises or lowers.';
COMMENT ON COLUMN reporting.score_reason.score_points IS
    'In score points. For a reason for the decision: beside accepted former customers near the line, never above 0. For '
    'what else moves the score: all features of the group together, positive raises it.';
COMMENT ON COLUMN reporting.score_reason.direction_en IS 'Whether it raises or lowers the score, in English.';
COMMENT ON COLUMN reporting.score_reason.direction_fr IS 'Whether it raises or lowers the score, in French.';
COMMENT ON COLUMN reporting.score_reason.reason_html_en IS 'All of it in English with a badge and bold type (HTML).';
COMMENT ON COLUMN reporting.score_reason.reason_html_fr IS 'All of it in French with a badge and bold type (HTML).';
COMMENT ON COLUMN reporting.score_reason.feature IS
    'The feature that speaks for the group: column name as in the application file, or name of the derived feature.';
COMMENT ON COLUMN reporting.score_reason.actionable IS
    'Whether applicants can soundly change the value of that feature themselves before they apply again.';
COMMENT ON COLUMN reporting.score_reason.feature_group IS
    'Name of that feature''s group of features that say the same thing, see feature.';
COMMENT ON COLUMN reporting.score_reason.group_label_en IS 'Short name of the group in English.';
COMMENT ON COLUMN reporting.score_reason.group_label_fr IS 'Short name of the group in French.';
