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
        (s.cohort).model_id, c.feature_id, o.target, c.customer_code, (s.cohort).options,
        CASE WHEN l.is_chosen THEN c.customer_id END
    )::reporting.cohort_row AS cohort,
    l.label_en AS cohort_like_en,
    l.label_fr AS cohort_like_fr
FROM reporting.cohort_customer AS c
CROSS JOIN (VALUES (0, 'repaid', 'Repaid', 'Remboursé'), (1, 'defaulted', 'Defaulted', 'En défaut'))
    AS o (target, outcome, outcome_en, outcome_fr)
CROSS JOIN reporting.cohort_selection AS s
-- A cohort is restricted where every row says so: whoever does not choose asks about all.
CROSS JOIN reporting.like_options() AS l;

COMMENT ON VIEW reporting.cohort_comparison IS
    'One applicant of the published run beside any cohort of former customers, per feature and outcome: ask for '
    'one customer_id and a value, or All, of each filter in one language, group by feature and outcome, and take '
    'figures by (reporting.cohort_summary(cohort)).median.';
COMMENT ON COLUMN reporting.cohort_comparison.outcome IS
    'What became of the former customers: repaid or defaulted.';
COMMENT ON COLUMN reporting.cohort_comparison.outcome_en IS 'The outcome in English.';
COMMENT ON COLUMN reporting.cohort_comparison.outcome_fr IS 'The outcome in French.';
COMMENT ON COLUMN reporting.cohort_comparison.cohort_like_en IS
    'Whether only the former customers who are most like the applicant count, see similar_customers, in English: Yes; '
    'All for anybody, and where no value is asked for.';
COMMENT ON COLUMN reporting.cohort_comparison.cohort_like_fr IS
    'Whether only the former customers who are most like the applicant count, see similar_customers, in French: Oui; '
    'Tous for anybody, and where no value is asked for.';
COMMENT ON COLUMN reporting.cohort_comparison.cohort IS
    'What the aggregate cohort_summary needs to know of the cohort and the customer.';
