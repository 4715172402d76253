CREATE VIEW reporting.run_score AS
SELECT
    h.run_id,
    h.as_of,
    h.customer_id,
    h.score,
    reporting.exact_score(h.log_odds) AS score_exact,
    h.default_probability,
    100 * h.default_probability AS default_percent,
    h.log_odds,
    h.band,
    b.label_en AS band_label_en,
    b.label_fr AS band_label_fr,
    h.decision,
    d.label_en AS decision_label_en,
    d.label_fr AS decision_label_fr,
    h.model_id,
    reporting.exact_score(m.base_value) AS base_score,
    h.is_current
FROM reporting.score_history AS h
JOIN credit.model_version AS m ON m.model_id = h.model_id
LEFT JOIN credit.score_band AS b ON b.policy_id = h.policy_id AND b.band = h.band
LEFT JOIN credit.suggested_decision AS d ON d.decision = h.decision;

COMMENT ON VIEW reporting.run_score IS
    'The scores of any published run in words, one row per applicant and run; ask for a run_id, see run_history.';
COMMENT ON COLUMN reporting.run_score.run_id IS 'Run that gave the score, see run_history.';
COMMENT ON COLUMN reporting.run_score.as_of IS 'Date that the score is of.';
COMMENT ON COLUMN reporting.run_score.customer_id IS 'Application number.';
COMMENT ON COLUMN reporting.run_score.score IS 'Score from 0 (worst) to 100 (best).';
COMMENT ON COLUMN reporting.run_score.score_exact IS 'Score before rounding, 0 to 100.';
COMMENT ON COLUMN reporting.run_score.default_probability IS
    'Probability from 0 to 1 that the applicant will have payment difficulties.';
COMMENT ON COLUMN reporting.run_score.default_percent IS 'The same probability in %.';
COMMENT ON COLUMN reporting.run_score.log_odds IS 'Log-odds of default.';
COMMENT ON COLUMN reporting.run_score.band IS 'Band of the score at the time, A best.';
COMMENT ON COLUMN reporting.run_score.band_label_en IS 'The band in English.';
COMMENT ON COLUMN reporting.run_score.band_label_fr IS 'The band in French.';
COMMENT ON COLUMN reporting.run_score.decision IS 'Decision suggested at the time: accept, review or decline.';
COMMENT ON COLUMN reporting.run_score.decision_label_en IS 'That decision in English.';
COMMENT ON COLUMN reporting.run_score.decision_label_fr IS 'That decision in French.';
COMMENT ON COLUMN reporting.run_score.model_id IS 'Model that gave the score, see model_card.';
COMMENT ON COLUMN reporting.run_score.base_score IS
    'Score before rounding, 0 to 100, from which that model starts before it looks at a customer.';
COMMENT ON COLUMN reporting.run_score.is_current IS 'Whether this is the score that readers see in customer.';
