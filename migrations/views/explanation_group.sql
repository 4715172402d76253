-- The customer comes first and the features are looked up for it, so that views of one customer can refuse others
-- before anything is added up. OFFSET 0 keeps the planner from turning that round.
CREATE VIEW reporting.explanation_group AS
SELECT
    s.customer_id,
    grouped.name AS feature_group,
    grouped.label_en AS group_label_en,
    grouped.label_fr AS group_label_fr,
    g.contribution,
    g.contribution * scale.points_per_log_odds AS score_points,
    g.rank,
    g.direction,
    g.rank_in_direction,
    g.features,
    f.name AS feature,
    f.label_en,
    f.label_fr,
    reporting.value_en(f.kind, g.numeric_value * f.display_scale, f.display_decimals, f.unit_en, g.category_code,
        k.label_en) AS value_en,
    reporting.value_fr(f.kind, g.numeric_value * f.display_scale, f.display_decimals, f.unit_fr, g.category_code,
        k.label_fr) AS value_fr,
    f.actionable,
    f.description_en,
    f.description_fr,
    f.kind,
    f.feature_id,
    g.numeric_value AS raw_value,
    g.category_code,
    s.run_id,
    g.may_be_told,
    g.told_rank
FROM credit.score AS s
CROSS JOIN reporting.published_run AS run
CROSS JOIN LATERAL (
    SELECT reporting.points_per_log_odds(run.base_value, s.log_odds) AS points_per_log_odds
) AS scale
CROSS JOIN LATERAL (
    SELECT
        led.*,
        row_number() OVER (ORDER BY abs(led.contribution) DESC, led.group_id) AS rank,
        row_number() OVER (PARTITION BY led.direction ORDER BY abs(led.contribution) DESC, led.group_id)
            AS rank_in_direction,
        CASE
            WHEN led.may_be_told THEN row_number() OVER (
                PARTITION BY led.may_be_told ORDER BY abs(led.contribution) DESC, led.group_id
            )
        END AS told_rank
    FROM (
        SELECT
            own.group_id,
            own.contribution,
            own.features,
            own.feature_id,
            own.numeric_value,
            own.category_code,
            own.may_be_told,
            CASE
                WHEN own.contribution < 0 THEN 'raises'
                WHEN own.contribution > 0 THEN 'lowers'
                ELSE 'none'
            END AS direction,
            -- The group speaks through the strongest of its features that pull its way; where some of those that count
            -- may be told and others not, through one that may.
            row_number() OVER (
                PARTITION BY own.group_id
                ORDER BY
                    (own.may_be_told AND own.feature_contribution <> 0) DESC,
                    sign(own.feature_contribution) = sign(own.contribution) DESC,
                    abs(own.feature_contribution) DESC,
                    own.feature_id
            ) AS place
        FROM (
            SELECT
                member.group_id,
                v.feature_id,
                v.numeric_value,
                v.category_code,
                v.contribution AS feature_contribution,
                COALESCE(rule.may_be_told, true) AS may_be_told,
                sum(v.contribution::double precision) OVER (PARTITION BY member.group_id) AS contribution,
                count(*) FILTER (WHERE v.contribution <> 0) OVER (PARTITION BY member.group_id) AS features
            FROM credit.shap_value AS v
            JOIN credit.feature AS member ON member.feature_id = v.feature_id
            -- By the policy in force: what may be told is about today, whichever policy decided.
            LEFT JOIN credit.policy_feature AS rule
                ON rule.policy_id = (SELECT max(newest.policy_id) FROM credit.policy AS newest)
                AND rule.feature_id = v.feature_id
            WHERE v.run_id = (SELECT published.run_id FROM credit.published_run AS published)
                AND v.customer_id = s.customer_id
        ) AS own
    ) AS led
    WHERE led.place = 1
    OFFSET 0
) AS g
JOIN credit.feature_group AS grouped ON grouped.group_id = g.group_id
JOIN credit.feature AS f ON f.feature_id = g.feature_id
LEFT JOIN credit.feature_category AS k ON k.feature_id = g.feature_id AND k.code = g.category_code
WHERE s.run_id = (SELECT p.run_id FROM credit.published_run AS p);

COMMENT ON VIEW reporting.explanation_group IS
    'Why each applicant of the published run has this score, by groups of features that say the same thing in other '
    'words: one row per applicant and group. The base score plus the points of all groups is the exact score.';
COMMENT ON COLUMN reporting.explanation_group.customer_id IS 'Application number.';
COMMENT ON COLUMN reporting.explanation_group.feature_group IS 'Name of the group, see feature.';
COMMENT ON COLUMN reporting.explanation_group.group_label_en IS 'Short name of the group in English.';
COMMENT ON COLUMN reporting.explanation_group.group_label_fr IS 'Short name of the group in French.';
COMMENT ON COLUMN reporting.explanation_group.contribution IS
    'Contribution of all features of the group to the log-odds of default; positive means more risk.';
COMMENT ON COLUMN reporting.explanation_group.score_points IS 'The same in score points; positive raises the score.';
COMMENT ON COLUMN reporting.explanation_group.rank IS
    'Place by absolute contribution among the applicant''s groups, 1 is the largest.';
COMMENT ON COLUMN reporting.explanation_group.direction IS
    'What the group does to the score: raises, lowers or none.';
COMMENT ON COLUMN reporting.explanation_group.rank_in_direction IS
    'Place among the applicant''s groups of the same direction, 1 is the largest.';
COMMENT ON COLUMN reporting.explanation_group.features IS
    'How many features of the group do anything to this score.';
COMMENT ON COLUMN reporting.explanation_group.feature IS
    'The feature that speaks for the group: the strongest of those that pull its way, and one that may be told if '
    'there is one that counts.';
COMMENT ON COLUMN reporting.explanation_group.label_en IS 'Short name of that feature in English.';
COMMENT ON COLUMN reporting.explanation_group.label_fr IS 'Short name of that feature in French.';
COMMENT ON COLUMN reporting.explanation_group.value_en IS
    'The applicant''s value of that feature in words and units in English.';
COMMENT ON COLUMN reporting.explanation_group.value_fr IS
    'The applicant''s value of that feature in words and units in French.';
COMMENT ON COLUMN reporting.explanation_group.actionable IS
    'Whether applicants can soundly change that value themselves before they apply again.';
COMMENT ON COLUMN reporting.explanation_group.description_en IS 'What that feature means, one sentence in English.';
COMMENT ON COLUMN reporting.explanation_group.description_fr IS 'What that feature means, one sentence in French.';
COMMENT ON COLUMN reporting.explanation_group.kind IS 'What sort of value it is, see feature.';
COMMENT ON COLUMN reporting.explanation_group.feature_id IS 'Number of that feature, see feature.';
COMMENT ON COLUMN reporting.explanation_group.raw_value IS
    'The value as a number in the unit of the application file; empty if missing or a category.';
COMMENT ON COLUMN reporting.explanation_group.category_code IS
    'Code of the category or flag, see category; empty if missing or a number.';
COMMENT ON COLUMN reporting.explanation_group.run_id IS 'The published run.';
COMMENT ON COLUMN reporting.explanation_group.may_be_told IS
    'Whether the policy in force lets that feature be told as a reason; where not, no chart and no text names the group.';
COMMENT ON COLUMN reporting.explanation_group.told_rank IS
    'Place by absolute contribution among the applicant''s groups that may be told, 1 is the largest; empty for others.';
