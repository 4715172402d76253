CREATE VIEW reporting.customer_timeline AS
SELECT
    h.customer_id,
    h.as_of,
    h.score,
    100 * (1 - h.default_probability) AS score_exact,
    h.default_probability,
    100 * h.default_probability AS default_percent,
    h.band,
    b.label_en AS band_label_en,
    b.label_fr AS band_label_fr,
    h.decision,
    d.label_en AS decision_label_en,
    d.label_fr AS decision_label_fr,
    h.score - lag(h.score) OVER (PARTITION BY h.customer_id ORDER BY h.as_of) AS score_change,
    h.model_id,
    h.run_id,
    h.is_current
FROM reporting.score_history AS h
LEFT JOIN credit.score_band AS b ON b.policy_id = h.policy_id AND b.band = h.band
LEFT JOIN credit.suggested_decision AS d ON d.decision = h.decision
WHERE NOT h.superseded AND NOT h.is_ahead AND reporting.one_customer(h.customer_id);

COMMENT ON VIEW reporting.customer_timeline IS
    'Every score that one customer ever had, one per date: where several runs were published for a date, the last of '
    'them. Ask for one customer_id at a time.';
COMMENT ON COLUMN reporting.customer_timeline.customer_id IS 'Application number.';
COMMENT ON COLUMN reporting.customer_timeline.as_of IS 'Date that the score is of.';
COMMENT ON COLUMN reporting.customer_timeline.score IS 'Score from 0 (worst) to 100 (best).';
COMMENT ON COLUMN reporting.customer_timeline.score_exact IS 'Score before rounding, 0 to 100.';
COMMENT ON COLUMN reporting.customer_timeline.default_probability IS
    'Probability from 0 to 1 that the applicant will have payment difficulties.';
COMMENT ON COLUMN reporting.customer_timeline.default_percent IS 'The default probability in %.';
COMMENT ON COLUMN reporting.customer_timeline.band IS 'Band of the score at the time, A best.';
COMMENT ON COLUMN reporting.customer_timeline.band_label_en IS 'The band in English.';
COMMENT ON COLUMN reporting.customer_timeline.band_label_fr IS 'The band in French.';
COMMENT ON COLUMN reporting.customer_timeline.decision IS 'Decision suggested at the time: accept, review or decline.';
COMMENT ON COLUMN reporting.customer_timeline.decision_label_en IS 'That decision in English.';
COMMENT ON COLUMN reporting.customer_timeline.decision_label_fr IS 'That decision in French.';
COMMENT ON COLUMN reporting.customer_timeline.score_change IS
    'Score less the score of the date before, in points; empty for the first date.';
COMMENT ON COLUMN reporting.customer_timeline.model_id IS 'Model that gave the score, see model_card.';
COMMENT ON COLUMN reporting.customer_timeline.run_id IS 'Run that gave the score, see run_history.';
COMMENT ON COLUMN reporting.customer_timeline.is_current IS 'Whether this is the score that readers see in customer.';
