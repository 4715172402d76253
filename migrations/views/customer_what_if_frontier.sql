-- Where nothing is accepted, one line of nothing says so.
CREATE VIEW reporting.customer_what_if_frontier AS
SELECT
    o.customer_id,
    o.duration,
    o.amount,
    o.annuity,
    o.score,
    o.default_percent
FROM reporting.what_if AS o
WHERE o.is_frontier AND reporting.one_customer(o.customer_id)
UNION ALL
SELECT w.customer_id, NULL, NULL, NULL, NULL, NULL
FROM reporting.what_if_summary AS w
WHERE w.outcome = 'none' AND reporting.one_customer(w.customer_id);

COMMENT ON VIEW reporting.customer_what_if_frontier IS
    'The largest amount that is accepted at each duration, for one applicant of the published run who is not accepted. '
    'Ask for one customer_id at a time, or ask what_if for several.';
COMMENT ON COLUMN reporting.customer_what_if_frontier.customer_id IS 'Application number.';
COMMENT ON COLUMN reporting.customer_what_if_frontier.duration IS 'Months; empty, as the rest, where nothing is accepted.';
COMMENT ON COLUMN reporting.customer_what_if_frontier.amount IS 'Largest amount in € that is accepted at this duration.';
COMMENT ON COLUMN reporting.customer_what_if_frontier.annuity IS 'Annuity of that offer in €.';
COMMENT ON COLUMN reporting.customer_what_if_frontier.score IS 'Score with that offer, from 0 (worst) to 100 (best).';
COMMENT ON COLUMN reporting.customer_what_if_frontier.default_percent IS
    'Probability, in %, that the applicant will have payment difficulties, with that offer.';
