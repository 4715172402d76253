CREATE VIEW reporting.what_if AS
SELECT
    o.customer_id,
    o.duration,
    o.amount,
    o.annuity,
    o.default_probability,
    100 * o.default_probability AS default_percent,
    o.score,
    o.decision,
    d.label_en AS decision_label_en,
    d.label_fr AS decision_label_fr,
    o.is_grid,
    o.is_frontier,
    o.is_asked,
    o.run_id
FROM credit.what_if AS o
LEFT JOIN credit.suggested_decision AS d ON d.decision = o.decision
WHERE o.run_id = (SELECT p.run_id FROM credit.published_run AS p);

COMMENT ON VIEW reporting.what_if IS
    'What would get a yes: offers of amount and duration for the applicants of the published run who are not accepted, '
    'each scored as the application would be with it. Nothing else of the application moves.';
COMMENT ON COLUMN reporting.what_if.customer_id IS 'Application number.';
COMMENT ON COLUMN reporting.what_if.duration IS
    'Months. The application file has none: they follow from amount and annuity, see scoring/README.md.';
COMMENT ON COLUMN reporting.what_if.amount IS 'Amount of the offer in €, as AMT_CREDIT of the application file.';
COMMENT ON COLUMN reporting.what_if.annuity IS
    'Annuity of the offer in €, as AMT_ANNUITY of the application file: at the rate that the application implies.';
COMMENT ON COLUMN reporting.what_if.default_probability IS
    'Probability from 0 to 1 that the applicant will have payment difficulties, with this offer.';
COMMENT ON COLUMN reporting.what_if.default_percent IS 'The same in %.';
COMMENT ON COLUMN reporting.what_if.score IS 'Score with this offer, from 0 (worst) to 100 (best).';
COMMENT ON COLUMN reporting.what_if.decision IS 'Suggested decision on this offer: accept, review or decline.';
COMMENT ON COLUMN reporting.what_if.decision_label_en IS 'The suggested decision in English.';
COMMENT ON COLUMN reporting.what_if.decision_label_fr IS 'The suggested decision in French.';
COMMENT ON COLUMN reporting.what_if.is_grid IS 'Whether it is a cell of the heat map.';
COMMENT ON COLUMN reporting.what_if.is_frontier IS
    'Whether it is the largest amount that is accepted at this duration, of all whole amounts within the limits.';
COMMENT ON COLUMN reporting.what_if.is_asked IS 'Whether it is what the application asks for.';
COMMENT ON COLUMN reporting.what_if.run_id IS 'Run that the row is from, see run_history.';
