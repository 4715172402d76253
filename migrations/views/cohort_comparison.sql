CREATE VIEW reporting.cohort_comparison AS
SELECT
    c.customer_id,
    c.feature,
    c.feature_en,
    c.feature_fr,
    c.feature_order,
    o.outcome,
    o.outcome_en,
    o.outcome_fr,
    c.unit_en,
    c.unit_fr,
    c.decimals,
    c.customer_value,
    (s.words).*,
    ROW(
        (s.cohort).model_id, c.feature_id, o.target, c.customer_code, (s.cohort).options
    )::reporting.cohort_row AS cohort
FROM reporting.cohort_customer AS c
CROSS JOIN (VALUES (0, 'repaid', 'Repaid', 'Remboursé'), (1, 'defaulted', 'Defaulted', 'En défaut'))
    AS o (target, outcome, outcome_en, outcome_fr)
CROSS JOIN reporting.cohort_selection AS s;

COMMENT ON VIEW reporting.cohort_comparison IS
    'One applicant of the published run beside any cohort of former customers, per feature and outcome: ask for '
    'one customer_id and a value, or All, of each filter in one language, group by feature and outcome, and take '
    'figures by (reporting.cohort_summary(cohort)).median.';
COMMENT ON COLUMN reporting.cohort_comparison.outcome IS
    'What became of the former customers: repaid or defaulted.';
COMMENT ON COLUMN reporting.cohort_comparison.outcome_en IS 'The outcome in English.';
COMMENT ON COLUMN reporting.cohort_comparison.outcome_fr IS 'The outcome in French.';
COMMENT ON COLUMN reporting.cohort_comparison.cohort IS
    'What the aggregate cohort_summary needs to know of the cohort and the customer.';
