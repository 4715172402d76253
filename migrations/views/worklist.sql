CREATE VIEW reporting.worklist AS
SELECT
    s.customer_id,
    s.score,
    earlier.score AS previous_score,
    s.score - earlier.score AS score_change,
    b.label_en || ' (' || s.band || ')' AS band_label_en,
    b.label_fr || ' (' || s.band || ')' AS band_label_fr,
    d.label_en AS decision_label_en,
    d.label_fr AS decision_label_fr,
    100 * s.default_probability AS default_percent,
    s.percentile,
    a.amt_credit AS credit_amount,
    a.amt_annuity AS annuity,
    a.amt_income_total AS income,
    round((100 * a.amt_annuity / NULLIF(a.amt_income_total, 0))::numeric, 1)::double precision
        AS annuity_income_share,
    round(a.days_birth / -365.25, 1)::double precision AS age_years,
    CASE
        WHEN earlier.score IS NULL THEN 'new'
        WHEN s.score > earlier.score THEN '▲ higher'
        WHEN s.score < earlier.score THEN '▼ lower'
        ELSE '= unchanged'
    END AS change_en,
    CASE
        WHEN earlier.score IS NULL THEN 'nouveau'
        WHEN s.score > earlier.score THEN '▲ en hausse'
        WHEN s.score < earlier.score THEN '▼ en baisse'
        ELSE '= inchangé'
    END AS change_fr,
    COALESCE(earlier.decision <> s.decision, false) AS decision_changed,
    s.band,
    s.decision,
    CASE WHEN asked.review_id IS NOT NULL THEN 'in_review' WHEN held.decision IS NOT NULL THEN 'decided' ELSE 'open' END
        AS state,
    CASE
        WHEN asked.review_id IS NOT NULL THEN '◆ in review'
        WHEN held.decision IS NOT NULL THEN '● ' || reporting.human_decision_en(held.decision)
        ELSE '○ open'
    END AS state_en,
    CASE
        WHEN asked.review_id IS NOT NULL THEN '◆ en réexamen'
        WHEN held.decision IS NOT NULL THEN '● ' || reporting.human_decision_fr(held.decision)
        ELSE '○ à décider'
    END AS state_fr
FROM credit.score AS s
-- Every score has its application; as an outer join it costs nothing where nothing of it is asked, as in a count.
LEFT JOIN credit.new_customer AS a ON a.run_id = s.run_id AND a.customer_id = s.customer_id
LEFT JOIN credit.score_band AS b
    ON b.policy_id = (SELECT p.policy_id FROM reporting.published_run AS p)
    AND b.band = s.band
LEFT JOIN credit.suggested_decision AS d ON d.decision = s.decision
LEFT JOIN credit.score AS earlier
    ON earlier.run_id = (SELECT p.previous_run_id FROM reporting.published_run AS p)
    AND earlier.customer_id = s.customer_id
LEFT JOIN credit.decision AS held
    ON held.customer_id = s.customer_id
    AND NOT EXISTS (SELECT FROM credit.decision AS later WHERE later.supersedes = held.decision_id)
LEFT JOIN credit.review AS asked
    ON asked.decision_id = held.decision_id
    AND NOT EXISTS (SELECT FROM credit.review_conclusion AS c WHERE c.review_id = asked.review_id)
WHERE s.run_id = (SELECT p.run_id FROM credit.published_run AS p);

COMMENT ON VIEW reporting.worklist IS
    'All applicants of the published run, a line each, to be sorted and filtered: whom to look at first.';
COMMENT ON COLUMN reporting.worklist.customer_id IS 'Application number.';
COMMENT ON COLUMN reporting.worklist.score IS 'Score from 0 (worst) to 100 (best).';
COMMENT ON COLUMN reporting.worklist.previous_score IS
    'Score on the last date before this one; empty if the customer was not scored then.';
COMMENT ON COLUMN reporting.worklist.score_change IS 'Score less previous score, in points; positive is better.';
COMMENT ON COLUMN reporting.worklist.band_label_en IS 'The band of the score in English, with its letter.';
COMMENT ON COLUMN reporting.worklist.band_label_fr IS 'The band of the score in French, with its letter.';
COMMENT ON COLUMN reporting.worklist.decision_label_en IS 'The suggested decision in English.';
COMMENT ON COLUMN reporting.worklist.decision_label_fr IS 'The suggested decision in French.';
COMMENT ON COLUMN reporting.worklist.default_percent IS
    'Probability that the applicant will have payment difficulties, in %.';
COMMENT ON COLUMN reporting.worklist.percentile IS
    'Share of former customers, in %, whose score is lower than or equal to this one; 100 is best.';
COMMENT ON COLUMN reporting.worklist.credit_amount IS 'Sum that the applicant wishes to borrow, in €.';
COMMENT ON COLUMN reporting.worklist.annuity IS 'Amount to pay back at each due date, in €.';
COMMENT ON COLUMN reporting.worklist.income IS 'Total income that the applicant declared, in €.';
COMMENT ON COLUMN reporting.worklist.annuity_income_share IS 'Annuity as a share of the income, in %.';
COMMENT ON COLUMN reporting.worklist.age_years IS 'Age on the day of the application, in years.';
COMMENT ON COLUMN reporting.worklist.change_en IS
    'Whether the score is higher, lower or unchanged since the run before, or the customer new, in English.';
COMMENT ON COLUMN reporting.worklist.change_fr IS
    'Whether the score is higher, lower or unchanged since the run before, or the customer new, in French.';
COMMENT ON COLUMN reporting.worklist.decision_changed IS
    'Whether the suggested decision is another one than in the run before.';
COMMENT ON COLUMN reporting.worklist.band IS 'Band of the score, A best, see score_band.';
COMMENT ON COLUMN reporting.worklist.decision IS 'Suggested decision: accept, review or decline.';
COMMENT ON COLUMN reporting.worklist.state IS 'What people did about it: open, decided or in_review.';
COMMENT ON COLUMN reporting.worklist.state_en IS
    'The same in English, with the decision that holds where there is one.';
COMMENT ON COLUMN reporting.worklist.state_fr IS
    'The same in French, with the decision that holds where there is one.';
