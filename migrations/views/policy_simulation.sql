-- Steps of half a percentage point; counts stand in thousandths, of which five make a step.
CREATE VIEW reporting.policy_simulation AS
WITH in_force AS (
    SELECT p.policy_id
    FROM credit.policy AS p
    ORDER BY p.policy_id DESC
    LIMIT 1
),
step AS (
    SELECT
        r.group_kind,
        r.group_code,
        r.risk / 5 AS step,
        sum(r.customers)::double precision AS customers,
        sum(r.defaulted)::double precision AS defaulted,
        sum(
            (r.customers - r.defaulted) * COALESCE(own.gain, general.gain)
            - r.defaulted * COALESCE(own.loss, general.loss)
        ) AS profit
    FROM credit.former_risk AS r
    CROSS JOIN in_force AS p
    LEFT JOIN credit.policy_line AS general ON general.policy_id = p.policy_id AND general.contract_type = 0
    LEFT JOIN credit.policy_line AS own
        ON own.policy_id = p.policy_id AND own.contract_type = r.contract_type AND own.contract_type > 0
    WHERE r.model_id = (SELECT m.model_id FROM credit.model_version AS m WHERE m.stage = 'current')
    GROUP BY r.group_kind, r.group_code, r.risk / 5
),
everybody AS (
    SELECT s.group_kind, s.group_code, sum(s.customers) AS customers
    FROM step AS s
    GROUP BY s.group_kind, s.group_code
),
line AS (
    SELECT
        e.group_kind,
        e.group_code,
        grid.step / 200.0::double precision AS threshold,
        e.customers,
        COALESCE(sum(s.customers) OVER under, 0) AS accepted,
        COALESCE(sum(s.defaulted) OVER under, 0) AS defaulted,
        CASE WHEN (SELECT l.gain FROM credit.policy_line AS l JOIN in_force AS p USING (policy_id) LIMIT 1) IS NOT NULL
            THEN COALESCE(sum(s.profit) OVER under, 0) / e.customers
        END AS profit
    FROM everybody AS e
    CROSS JOIN generate_series(1, 100) AS grid (step)
    LEFT JOIN step AS s
        ON s.group_kind = e.group_kind AND s.group_code = e.group_code AND s.step = grid.step - 1
    WINDOW under AS (PARTITION BY e.group_kind, e.group_code ORDER BY grid.step)
),
today AS (
    -- Where the policy in force draws its line: by the lender's figures, or where the lowest accepted score begins.
    SELECT COALESCE(
        (SELECT l.accept_below FROM credit.policy_line AS l JOIN in_force AS p USING (policy_id) WHERE l.contract_type = 0),
        (
            SELECT (100.5 - min(b.minimum_score)) / 100
            FROM credit.score_band AS b
            JOIN in_force AS p USING (policy_id)
            WHERE b.decision = 'accept'
        )::double precision
    ) AS threshold
),
option AS (
    SELECT
        l.threshold,
        100 * l.threshold AS threshold_percent,
        l.group_kind,
        CASE l.group_kind WHEN 'all' THEN 'Everybody' WHEN 'gender' THEN 'Gender' ELSE 'Age' END AS group_kind_en,
        CASE l.group_kind WHEN 'all' THEN 'Tout le monde' WHEN 'gender' THEN 'Genre' ELSE 'Âge' END AS group_kind_fr,
        CASE
            WHEN l.group_kind = 'all' THEN 'Everybody'
            WHEN l.group_kind = 'gender' THEN reporting.category_en(NULLIF(l.group_code, -1)::smallint, k.label_en)
            WHEN l.group_code = -1 THEN 'not given'
            WHEN l.group_code = 10 THEN 'under 30'
            WHEN l.group_code = 70 THEN '70 and over'
            ELSE l.group_code || '–' || l.group_code + 9
        END AS group_en,
        CASE
            WHEN l.group_kind = 'all' THEN 'Tout le monde'
            WHEN l.group_kind = 'gender' THEN reporting.category_fr(NULLIF(l.group_code, -1)::smallint, k.label_fr)
            WHEN l.group_code = -1 THEN 'non renseigné'
            WHEN l.group_code = 10 THEN 'moins de 30 ans'
            WHEN l.group_code = 70 THEN '70 ans et plus'
            ELSE l.group_code || '–' || l.group_code + 9 || ' ans'
        END AS group_fr,
        l.group_code AS group_order,
        l.customers::bigint AS customers,
        l.accepted::bigint AS accepted,
        CASE WHEN l.customers >= 30 THEN 100 * l.accepted / l.customers END AS accepted_share,
        CASE WHEN l.accepted >= 30 THEN 100 * l.defaulted / l.accepted END AS default_rate,
        CASE WHEN l.accepted >= 30 THEN (reporting.wilson(l.defaulted, l.accepted))[1] END AS default_rate_lower,
        CASE WHEN l.accepted >= 30 THEN (reporting.wilson(l.defaulted, l.accepted))[2] END AS default_rate_upper,
        l.profit AS expected_profit,
        l.threshold = first_value(l.threshold) OVER (
            PARTITION BY l.group_kind, l.group_code ORDER BY abs(l.threshold - today.threshold), l.threshold
        ) AS is_current,
        COALESCE(
            l.profit IS NOT NULL AND l.threshold = first_value(l.threshold) OVER (
                PARTITION BY l.group_kind, l.group_code ORDER BY l.profit DESC, l.threshold
            ),
            false
        ) AS is_best,
        100 * today.threshold AS current_percent
    FROM line AS l
    CROSS JOIN today
    LEFT JOIN credit.feature_category AS k
        ON l.group_kind = 'gender'
        AND k.code = l.group_code
        AND k.feature_id = (SELECT f.feature_id FROM credit.feature AS f WHERE f.name = 'CODE_GENDER')
)
SELECT
    o.*,
    CASE WHEN o.is_current THEN '◀ the policy in force ' ELSE '' END
        || CASE WHEN o.is_best THEN '★ brings most' ELSE '' END AS mark_en,
    CASE WHEN o.is_current THEN '◀ la politique en vigueur ' ELSE '' END
        || CASE WHEN o.is_best THEN '★ rapporte le plus' ELSE '' END AS mark_fr,
    reporting.with_interval_en(o.default_rate, ARRAY[o.default_rate_lower, o.default_rate_upper]) AS default_en,
    reporting.with_interval_fr(o.default_rate, ARRAY[o.default_rate_lower, o.default_rate_upper]) AS default_fr,
    o.is_current OR o.is_best OR (mod(round(200 * o.threshold)::integer, 6) = 0 AND o.threshold <= 0.3) AS is_listed
FROM option AS o;

COMMENT ON VIEW reporting.policy_simulation IS
    'What accepting everybody under a default probability would do, by former customers of the current model and the '
    'figures of the policy in force: for everybody and by group.';
COMMENT ON COLUMN reporting.policy_simulation.threshold IS
    'Default probability, 0 to 1, under which everybody would be accepted.';
COMMENT ON COLUMN reporting.policy_simulation.threshold_percent IS 'The same in %.';
COMMENT ON COLUMN reporting.policy_simulation.group_kind IS 'What the group is by: all, gender or age.';
COMMENT ON COLUMN reporting.policy_simulation.group_kind_en IS 'What the group is by, in English.';
COMMENT ON COLUMN reporting.policy_simulation.group_kind_fr IS 'What the group is by, in French.';
COMMENT ON COLUMN reporting.policy_simulation.group_en IS 'The group in English.';
COMMENT ON COLUMN reporting.policy_simulation.group_fr IS 'The group in French.';
COMMENT ON COLUMN reporting.policy_simulation.group_order IS 'The group''s place among those of its kind.';
COMMENT ON COLUMN reporting.policy_simulation.customers IS 'How many former customers are in the group.';
COMMENT ON COLUMN reporting.policy_simulation.accepted IS 'How many of them would be accepted.';
COMMENT ON COLUMN reporting.policy_simulation.accepted_share IS
    'Share of them who would be accepted, in %; empty under 30 people.';
COMMENT ON COLUMN reporting.policy_simulation.default_rate IS
    'Share of the accepted who defaulted, in %; empty under 30 people.';
COMMENT ON COLUMN reporting.policy_simulation.default_rate_lower IS
    'Lower end of the 95 % interval of the default rate, in %.';
COMMENT ON COLUMN reporting.policy_simulation.default_rate_upper IS
    'Upper end of the 95 % interval of the default rate, in %.';
COMMENT ON COLUMN reporting.policy_simulation.expected_profit IS
    'What an application would bring on average, in the unit of the lender''s figures; empty where scores decide.';
COMMENT ON COLUMN reporting.policy_simulation.is_current IS
    'Whether the policy in force draws its line here, or nearest to here.';
COMMENT ON COLUMN reporting.policy_simulation.is_best IS
    'Whether no other line brings more by the lender''s figures; false where scores decide.';
COMMENT ON COLUMN reporting.policy_simulation.current_percent IS
    'Default probability, in %, under which the policy in force accepts.';
COMMENT ON COLUMN reporting.policy_simulation.mark_en IS
    'Whether it is the line of the policy in force, or the one that brings most, in English.';
COMMENT ON COLUMN reporting.policy_simulation.mark_fr IS
    'Whether it is the line of the policy in force, or the one that brings most, in French.';
COMMENT ON COLUMN reporting.policy_simulation.default_en IS
    'Share of the accepted who defaulted, in %, with its 95 % interval, in English.';
COMMENT ON COLUMN reporting.policy_simulation.default_fr IS
    'Share of the accepted who defaulted, in %, with its 95 % interval, in French.';
COMMENT ON COLUMN reporting.policy_simulation.is_listed IS
    'Whether the line is one of a short list: every third point up to 30 %, the line in force and the best one.';
