CREATE VIEW reporting.group_fairness AS
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
    100 * g.approval_rate AS approval_rate,
    100 * g.default_rate AS default_rate,
    g.mean_score,
    g.ratio_to_best,
    g.ratio_to_best < 0.8 AS below_four_fifths,
    CASE
        WHEN g.approval_rate IS NULL THEN 'fewer than 30 customers: no rates'
        WHEN g.ratio_to_best < 0.8 THEN '▼ under four fifths of the best group'
        ELSE '✔ at least four fifths of the best group'
    END AS note_en,
    CASE
        WHEN g.approval_rate IS NULL THEN U&'moins de 30 clients\00A0: pas de taux'
        WHEN g.ratio_to_best < 0.8 THEN '▼ moins de quatre cinquièmes du meilleur groupe'
        ELSE '✔ au moins quatre cinquièmes du meilleur groupe'
    END AS note_fr,
    m.model_id
FROM credit.model_version AS m
CROSS JOIN LATERAL jsonb_to_recordset(m.metrics -> 'groups') AS g (
    kind text,
    code smallint,
    upper smallint,
    customers integer,
    approval_rate double precision,
    default_rate double precision,
    mean_score double precision,
    ratio_to_best double precision
)
LEFT JOIN credit.feature AS f ON g.kind = 'gender' AND f.name = 'CODE_GENDER'
LEFT JOIN credit.feature_category AS k ON k.feature_id = f.feature_id AND k.code = g.code
WHERE m.model_id = (SELECT run.model_id FROM reporting.published_run AS run);

COMMENT ON VIEW reporting.group_fairness IS
    'How the published run''s model would treat groups of former customers, each scored by a model that never saw '
    'them: by gender and by age. Groups of fewer than 30 show no rates.';
COMMENT ON COLUMN reporting.group_fairness.group_kind_en IS 'What the groups are by, in English: Gender or Age.';
COMMENT ON COLUMN reporting.group_fairness.group_kind_fr IS 'What the groups are by, in French: Genre or Âge.';
COMMENT ON COLUMN reporting.group_fairness.group_en IS 'The group in English; ages in years.';
COMMENT ON COLUMN reporting.group_fairness.group_fr IS 'The group in French; ages in years.';
COMMENT ON COLUMN reporting.group_fairness.ord IS 'Place of the group: genders first, then ages.';
COMMENT ON COLUMN reporting.group_fairness.customers IS 'How many former customers are in the group.';
COMMENT ON COLUMN reporting.group_fairness.approval_rate IS
    'Share of them for whom the decision would be to accept, in %; empty under 30 customers.';
COMMENT ON COLUMN reporting.group_fairness.default_rate IS
    'Share of them who did default, in %; empty under 30 customers.';
COMMENT ON COLUMN reporting.group_fairness.mean_score IS
    'Their mean score before rounding; empty under 30 customers.';
COMMENT ON COLUMN reporting.group_fairness.ratio_to_best IS
    'Approval rate as a share of the highest one of its kind, 0 to 1 (adverse impact ratio); empty under 30 customers.';
COMMENT ON COLUMN reporting.group_fairness.below_four_fifths IS
    'Whether the ratio is under 0.8, the four-fifths rule of the US guidelines on selection (29 CFR 1607.4 D).';
COMMENT ON COLUMN reporting.group_fairness.note_en IS 'What the ratio says, in English, with a sign.';
COMMENT ON COLUMN reporting.group_fairness.note_fr IS 'What the ratio says, in French, with a sign.';
COMMENT ON COLUMN reporting.group_fairness.model_id IS 'The model, see model_card.';
