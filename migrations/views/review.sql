CREATE VIEW reporting.review AS
SELECT
    r.review_id,
    r.customer_id,
    r.decision_id,
    d.run_id,
    d.decided_by,
    d.decision,
    reporting.human_decision_en(d.decision) AS decision_label_en,
    reporting.human_decision_fr(d.decision) AS decision_label_fr,
    r.point_of_view,
    r.asked_at,
    r.recorded_by,
    r.due_at,
    r.four_eyes,
    COALESCE(c.outcome, 'open') AS state,
    CASE
        WHEN c.outcome IS NULL AND r.due_at < now() THEN '⚠ overdue'
        ELSE reporting.review_outcome_en(c.outcome)
    END AS state_en,
    CASE
        WHEN c.outcome IS NULL AND r.due_at < now() THEN '⚠ en retard'
        ELSE reporting.review_outcome_fr(c.outcome)
    END AS state_fr,
    (c.outcome IS NULL)::integer AS is_open,
    (c.outcome IS NULL AND r.due_at < now())::integer AS is_overdue,
    floor(extract(epoch FROM COALESCE(c.concluded_at, now()) - r.asked_at) / 86400)::integer AS age_days,
    c.outcome,
    c.note AS conclusion,
    c.concluded_by,
    c.concluded_at,
    c.decision_id AS new_decision_id
FROM credit.review AS r
JOIN credit.decision AS d ON d.decision_id = r.decision_id
LEFT JOIN credit.review_conclusion AS c ON c.review_id = r.review_id;

COMMENT ON VIEW reporting.review IS
    'Reviews of a decision that customers asked for, one row each, with how they ended.';
COMMENT ON COLUMN reporting.review.review_id IS 'Number of the review.';
COMMENT ON COLUMN reporting.review.customer_id IS 'Application number.';
COMMENT ON COLUMN reporting.review.decision_id IS 'Decision that is looked at again, see decision.';
COMMENT ON COLUMN reporting.review.run_id IS 'Run that this decision was taken on.';
COMMENT ON COLUMN reporting.review.decided_by IS 'Who took that decision.';
COMMENT ON COLUMN reporting.review.decision IS 'That decision: accept, refuse or accept_other_terms.';
COMMENT ON COLUMN reporting.review.decision_label_en IS 'That decision in English.';
COMMENT ON COLUMN reporting.review.decision_label_fr IS 'That decision in French.';
COMMENT ON COLUMN reporting.review.point_of_view IS 'The customer''s point of view in the customer''s own words.';
COMMENT ON COLUMN reporting.review.asked_at IS 'When the customer asked.';
COMMENT ON COLUMN reporting.review.recorded_by IS 'User name of who recorded it.';
COMMENT ON COLUMN reporting.review.due_at IS 'Until when it is to be concluded, by the policy of that day.';
COMMENT ON COLUMN reporting.review.four_eyes IS
    'Whether only somebody who has not decided on the customer may conclude it, by the policy of that day.';
COMMENT ON COLUMN reporting.review.state IS 'open, upheld or changed.';
COMMENT ON COLUMN reporting.review.state_en IS 'The same in English; says so where it is overdue.';
COMMENT ON COLUMN reporting.review.state_fr IS 'The same in French; says so where it is overdue.';
COMMENT ON COLUMN reporting.review.is_open IS '1 while it is not concluded, else 0.';
COMMENT ON COLUMN reporting.review.is_overdue IS '1 if it is open beyond the day that it was due, else 0.';
COMMENT ON COLUMN reporting.review.age_days IS 'Whole days that it has been open, or was.';
COMMENT ON COLUMN reporting.review.outcome IS 'upheld or changed; empty while it is open.';
COMMENT ON COLUMN reporting.review.conclusion IS 'What was found, as written.';
COMMENT ON COLUMN reporting.review.concluded_by IS 'User name of who concluded it.';
COMMENT ON COLUMN reporting.review.concluded_at IS 'When.';
COMMENT ON COLUMN reporting.review.new_decision_id IS
    'Decision that took the place of the one looked at; empty unless changed.';
