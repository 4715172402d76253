-- Counts, not rates, are written down: rates and their intervals are worked out here, in one way for all. Models of
-- before version 0.4 wrote down two rates instead, and runs of before it nothing.
CREATE VIEW reporting.group_fairness AS
WITH former AS (
    SELECT
        g.kind,
        COALESCE(g.code, -1) AS code,
        g.upper,
        g.customers,
        COALESCE(g.accepted, round(g.customers * g.approval_rate)) AS accepted,
        COALESCE(g.defaulted, round(g.customers * g.default_rate)) AS defaulted,
        g.repaid_declined,
        g.defaulted_accepted,
        g.mean_score,
        g.mean_default_probability
    FROM credit.model_version AS m
    CROSS JOIN LATERAL jsonb_to_recordset(m.metrics -> 'groups') AS g (
        kind text,
        code smallint,
        upper smallint,
        customers integer,
        accepted double precision,
        approval_rate double precision,
        defaulted double precision,
        default_rate double precision,
        repaid_declined double precision,
        defaulted_accepted double precision,
        mean_score double precision,
        mean_default_probability double precision
    )
    WHERE m.model_id = (SELECT run.model_id FROM reporting.published_run AS run)
),
tonight AS (
    SELECT
        g.kind,
        COALESCE(g.code, -1) AS code,
        g.upper,
        g.customers AS tonight_customers,
        g.accepted AS tonight_accepted,
        g.mean_default_probability AS tonight_default_probability
    FROM credit.run_summary AS s
    CROSS JOIN LATERAL jsonb_to_recordset(s.groups) AS g (
        kind text,
        code smallint,
        upper smallint,
        customers integer,
        accepted double precision,
        mean_default_probability double precision
    )
    WHERE s.run_id = (SELECT p.run_id FROM credit.published_run AS p)
),
largest AS (
    SELECT DISTINCT ON (o.kind) o.kind, o.code, o.customers, o.accepted
    FROM former AS o
    WHERE o.accepted IS NOT NULL
    ORDER BY o.kind, o.customers DESC, o.code
),
largest_tonight AS (
    SELECT DISTINCT ON (o.kind) o.kind, o.code, o.tonight_customers, o.tonight_accepted
    FROM tonight AS o
    WHERE o.tonight_accepted IS NOT NULL
    ORDER BY o.kind, o.tonight_customers DESC, o.code
),
figures AS (
    SELECT
        g.kind,
        NULLIF(g.code, -1)::smallint AS code,
        COALESCE(o.upper, n.upper) AS upper,
        o.customers,
        100 * o.accepted / o.customers AS approval_rate,
        reporting.wilson(o.accepted, o.customers) AS approval,
        100 * o.defaulted / o.customers AS default_rate,
        reporting.wilson(o.defaulted, o.customers) AS default_ends,
        o.mean_score,
        100 * o.mean_default_probability AS mean_default_percent,
        100 * o.repaid_declined / NULLIF(o.customers - o.defaulted, 0) AS repaid_declined_rate,
        reporting.wilson(o.repaid_declined, o.customers - o.defaulted) AS repaid_declined,
        100 * o.defaulted_accepted / NULLIF(o.defaulted, 0) AS defaulted_accepted_rate,
        reporting.wilson(o.defaulted_accepted, o.defaulted) AS defaulted_accepted,
        100 * (o.accepted / o.customers - l.accepted / l.customers) AS approval_difference,
        reporting.newcombe(o.accepted, o.customers, l.accepted, l.customers) AS difference,
        n.tonight_customers,
        100 * n.tonight_accepted / n.tonight_customers AS tonight_approval_rate,
        reporting.wilson(n.tonight_accepted, n.tonight_customers) AS tonight_approval,
        100 * n.tonight_default_probability AS tonight_mean_default_percent,
        100 * (n.tonight_accepted / n.tonight_customers - t.tonight_accepted / t.tonight_customers)
            AS tonight_approval_difference,
        reporting.newcombe(n.tonight_accepted, n.tonight_customers, t.tonight_accepted, t.tonight_customers)
            AS tonight_difference
    FROM (SELECT f.kind, f.code FROM former AS f UNION SELECT n.kind, n.code FROM tonight AS n) AS g
    LEFT JOIN former AS o ON o.kind = g.kind AND o.code = g.code
    LEFT JOIN tonight AS n ON n.kind = g.kind AND n.code = g.code
    LEFT JOIN largest AS l ON l.kind = g.kind AND l.code <> g.code
    LEFT JOIN largest_tonight AS t ON t.kind = g.kind AND t.code <> g.code
)
SELECT
    CASE g.kind WHEN 'gender' THEN 'Gender' ELSE 'Age' END AS group_kind_en,
    CASE g.kind WHEN 'gender' THEN 'Genre' ELSE U&'\00C2ge' END AS group_kind_fr,
    CASE
        WHEN g.kind = 'gender' THEN reporting.category_en(g.code, k.label_en)
        WHEN g.code IS NULL THEN 'not given'
        WHEN g.upper IS NULL THEN g.code || ' and over'
        WHEN g.code < 20 THEN 'under ' || g.upper + 1
        ELSE g.code || '–' || g.upper
    END AS group_en,
    CASE
        WHEN g.kind = 'gender' THEN reporting.category_fr(g.code, k.label_fr)
        WHEN g.code IS NULL THEN 'non renseigné'
        WHEN g.upper IS NULL THEN g.code || ' ans et plus'
        WHEN g.code < 20 THEN 'moins de ' || g.upper + 1 || ' ans'
        ELSE g.code || '–' || g.upper || ' ans'
    END AS group_fr,
    row_number() OVER (ORDER BY g.kind DESC, g.code NULLS LAST) AS ord,
    g.customers,
    g.approval_rate,
    g.approval[1] AS approval_rate_lower,
    g.approval[2] AS approval_rate_upper,
    g.default_rate,
    g.default_ends[1] AS default_rate_lower,
    g.default_ends[2] AS default_rate_upper,
    g.mean_default_percent,
    g.mean_score,
    g.repaid_declined_rate,
    g.repaid_declined[1] AS repaid_declined_rate_lower,
    g.repaid_declined[2] AS repaid_declined_rate_upper,
    g.defaulted_accepted_rate,
    g.defaulted_accepted[1] AS defaulted_accepted_rate_lower,
    g.defaulted_accepted[2] AS defaulted_accepted_rate_upper,
    g.approval_difference,
    g.difference[1] AS approval_difference_lower,
    g.difference[2] AS approval_difference_upper,
    g.tonight_customers,
    g.tonight_approval_rate,
    g.tonight_approval[1] AS tonight_approval_rate_lower,
    g.tonight_approval[2] AS tonight_approval_rate_upper,
    g.tonight_mean_default_percent,
    g.tonight_approval_difference,
    g.tonight_difference[1] AS tonight_approval_difference_lower,
    g.tonight_difference[2] AS tonight_approval_difference_upper,
    reporting.with_interval_en(g.approval_rate, g.approval) AS approval_en,
    reporting.with_interval_fr(g.approval_rate, g.approval) AS approval_fr,
    reporting.with_interval_en(g.default_rate, g.default_ends) AS default_en,
    reporting.with_interval_fr(g.default_rate, g.default_ends) AS default_fr,
    reporting.with_interval_en(g.repaid_declined_rate, g.repaid_declined) AS repaid_declined_en,
    reporting.with_interval_fr(g.repaid_declined_rate, g.repaid_declined) AS repaid_declined_fr,
    reporting.with_interval_en(g.defaulted_accepted_rate, g.defaulted_accepted) AS defaulted_accepted_en,
    reporting.with_interval_fr(g.defaulted_accepted_rate, g.defaulted_accepted) AS defaulted_accepted_fr,
    reporting.difference_en(g.approval_difference, g.difference) AS difference_en,
    reporting.difference_fr(g.approval_difference, g.difference) AS difference_fr,
    reporting.with_interval_en(g.tonight_approval_rate, g.tonight_approval) AS tonight_approval_en,
    reporting.with_interval_fr(g.tonight_approval_rate, g.tonight_approval) AS tonight_approval_fr,
    reporting.difference_en(g.tonight_approval_difference, g.tonight_difference) AS tonight_difference_en,
    reporting.difference_fr(g.tonight_approval_difference, g.tonight_difference) AS tonight_difference_fr,
    CASE WHEN g.approval_rate IS NULL AND g.customers < 30 THEN 'fewer than 30 people: no rates' ELSE '' END AS note_en,
    CASE WHEN g.approval_rate IS NULL AND g.customers < 30 THEN U&'moins de 30 personnes\00A0: pas de taux' ELSE '' END
        AS note_fr,
    CASE
        WHEN g.tonight_approval_rate IS NULL AND g.tonight_customers < 30 THEN 'fewer than 30 people: no rates'
        ELSE ''
    END AS tonight_note_en,
    CASE
        WHEN g.tonight_approval_rate IS NULL AND g.tonight_customers < 30
            THEN U&'moins de 30 personnes\00A0: pas de taux'
        ELSE ''
    END AS tonight_note_fr,
    run.model_id,
    run.run_id
FROM figures AS g
CROSS JOIN reporting.published_run AS run
LEFT JOIN credit.feature AS f ON g.kind = 'gender' AND f.name = 'CODE_GENDER'
LEFT JOIN credit.feature_category AS k ON k.feature_id = f.feature_id AND k.code = g.code;

COMMENT ON VIEW reporting.group_fairness IS
    'How the published run''s model would treat groups of former customers, each scored by a model that never saw '
    'them, and how it treats tonight''s applicants: by gender and by age, rates with their 95 % intervals, and no '
    'verdict. Groups of fewer than 30 show no rates. Models and runs of before version 0.4 did not write down all of '
    'it.';
COMMENT ON COLUMN reporting.group_fairness.group_kind_en IS
    'What the groups are by, in English: Gender or Age.';
COMMENT ON COLUMN reporting.group_fairness.group_kind_fr IS
    'What the groups are by, in French: Genre or Âge.';
COMMENT ON COLUMN reporting.group_fairness.group_en IS
    'The group in English; ages in years.';
COMMENT ON COLUMN reporting.group_fairness.group_fr IS
    'The group in French; ages in years.';
COMMENT ON COLUMN reporting.group_fairness.ord IS
    'Place of the group: genders first, then ages.';
COMMENT ON COLUMN reporting.group_fairness.customers IS
    'How many former customers are in the group; empty if there are none.';
COMMENT ON COLUMN reporting.group_fairness.approval_rate IS
    'Share of them for whom the suggested decision would be to accept, in %; empty under 30 people.';
COMMENT ON COLUMN reporting.group_fairness.approval_rate_lower IS
    'Lower end of the 95 % interval of that rate (Wilson), in %.';
COMMENT ON COLUMN reporting.group_fairness.approval_rate_upper IS
    'Upper end of the 95 % interval of that rate (Wilson), in %.';
COMMENT ON COLUMN reporting.group_fairness.default_rate IS
    'Share of them who did default, in %; empty under 30 people.';
COMMENT ON COLUMN reporting.group_fairness.default_rate_lower IS
    'Lower end of the 95 % interval of that rate (Wilson), in %.';
COMMENT ON COLUMN reporting.group_fairness.default_rate_upper IS
    'Upper end of the 95 % interval of that rate (Wilson), in %.';
COMMENT ON COLUMN reporting.group_fairness.mean_default_percent IS
    'Their mean probability of default as the model saw it, in %; calibrated if within the interval of the default '
    'rate.';
COMMENT ON COLUMN reporting.group_fairness.mean_score IS
    'Their mean score before rounding; empty under 30 people.';
COMMENT ON COLUMN reporting.group_fairness.repaid_declined_rate IS
    'Share of those of them who repaid for whom it would be to decline, in %; empty under 30 people.';
COMMENT ON COLUMN reporting.group_fairness.repaid_declined_rate_lower IS
    'Lower end of the 95 % interval of that rate (Wilson), in %.';
COMMENT ON COLUMN reporting.group_fairness.repaid_declined_rate_upper IS
    'Upper end of the 95 % interval of that rate (Wilson), in %.';
COMMENT ON COLUMN reporting.group_fairness.defaulted_accepted_rate IS
    'Share of those of them who defaulted for whom it would be to accept, in %; empty under 30 people.';
COMMENT ON COLUMN reporting.group_fairness.defaulted_accepted_rate_lower IS
    'Lower end of the 95 % interval of that rate (Wilson), in %.';
COMMENT ON COLUMN reporting.group_fairness.defaulted_accepted_rate_upper IS
    'Upper end of the 95 % interval of that rate (Wilson), in %.';
COMMENT ON COLUMN reporting.group_fairness.approval_difference IS
    'Approval rate less that of the largest group of its kind, in percentage points; empty for that group.';
COMMENT ON COLUMN reporting.group_fairness.approval_difference_lower IS
    'Lower end of the 95 % interval of that difference (Newcombe), in percentage points.';
COMMENT ON COLUMN reporting.group_fairness.approval_difference_upper IS
    'Upper end of the 95 % interval of that difference (Newcombe), in percentage points.';
COMMENT ON COLUMN reporting.group_fairness.tonight_customers IS
    'How many applicants of the published run are in the group; empty if there are none, or if the run did not count '
    'them.';
COMMENT ON COLUMN reporting.group_fairness.tonight_approval_rate IS
    'Share of those applicants for whom the suggested decision is to accept, in %; empty under 30 people.';
COMMENT ON COLUMN reporting.group_fairness.tonight_approval_rate_lower IS
    'Lower end of the 95 % interval of that rate (Wilson), in %.';
COMMENT ON COLUMN reporting.group_fairness.tonight_approval_rate_upper IS
    'Upper end of the 95 % interval of that rate (Wilson), in %.';
COMMENT ON COLUMN reporting.group_fairness.tonight_mean_default_percent IS
    'Mean probability of default of those applicants, in %; empty under 30 people.';
COMMENT ON COLUMN reporting.group_fairness.tonight_approval_difference IS
    'Approval rate of those applicants less that of the largest group of its kind, in percentage points; empty for '
    'that group.';
COMMENT ON COLUMN reporting.group_fairness.tonight_approval_difference_lower IS
    'Lower end of the 95 % interval of that difference (Newcombe), in percentage points.';
COMMENT ON COLUMN reporting.group_fairness.tonight_approval_difference_upper IS
    'Upper end of the 95 % interval of that difference (Newcombe), in percentage points.';
COMMENT ON COLUMN reporting.group_fairness.approval_en IS
    'Approval rate with its interval, in English.';
COMMENT ON COLUMN reporting.group_fairness.approval_fr IS
    'Approval rate with its interval, in French.';
COMMENT ON COLUMN reporting.group_fairness.default_en IS
    'Default rate with its interval, in English.';
COMMENT ON COLUMN reporting.group_fairness.default_fr IS
    'Default rate with its interval, in French.';
COMMENT ON COLUMN reporting.group_fairness.repaid_declined_en IS
    'Share of those who repaid that would be declined, with its interval, in English.';
COMMENT ON COLUMN reporting.group_fairness.repaid_declined_fr IS
    'Share of those who repaid that would be declined, with its interval, in French.';
COMMENT ON COLUMN reporting.group_fairness.defaulted_accepted_en IS
    'Share of those who defaulted that would be accepted, with its interval, in English.';
COMMENT ON COLUMN reporting.group_fairness.defaulted_accepted_fr IS
    'Share of those who defaulted that would be accepted, with its interval, in French.';
COMMENT ON COLUMN reporting.group_fairness.difference_en IS
    'Difference to the largest group with its interval, in English.';
COMMENT ON COLUMN reporting.group_fairness.difference_fr IS
    'Difference to the largest group with its interval, in French.';
COMMENT ON COLUMN reporting.group_fairness.tonight_approval_en IS
    'Approval rate of the applicants with its interval, in English.';
COMMENT ON COLUMN reporting.group_fairness.tonight_approval_fr IS
    'Approval rate of the applicants with its interval, in French.';
COMMENT ON COLUMN reporting.group_fairness.tonight_difference_en IS
    'Difference of the applicants to the largest group with its interval, in English.';
COMMENT ON COLUMN reporting.group_fairness.tonight_difference_fr IS
    'Difference of the applicants to the largest group with its interval, in French.';
COMMENT ON COLUMN reporting.group_fairness.note_en IS
    'Why a group has no rates, in English.';
COMMENT ON COLUMN reporting.group_fairness.note_fr IS
    'Why a group has no rates, in French.';
COMMENT ON COLUMN reporting.group_fairness.tonight_note_en IS
    'Why a group of the applicants has no rates, in English.';
COMMENT ON COLUMN reporting.group_fairness.tonight_note_fr IS
    'Why a group of the applicants has no rates, in French.';
COMMENT ON COLUMN reporting.group_fairness.model_id IS
    'The model, see model_card.';
COMMENT ON COLUMN reporting.group_fairness.run_id IS
    'The published run.';
