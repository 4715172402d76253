CREATE VIEW reporting.score_history AS
SELECT
    s.customer_id,
    s.run_id,
    r.as_of,
    s.score,
    s.default_probability,
    s.log_odds,
    s.decision,
    s.band,
    r.model_id,
    r.superseded,
    r.is_current,
    r.is_ahead,
    100 * s.default_probability AS default_percent,
    r.policy_id
FROM (
    SELECT kept.customer_id, kept.run_id, kept.score, kept.default_probability, kept.log_odds, kept.decision, kept.band
    FROM credit.score AS kept
    JOIN credit.scoring_run AS own ON own.run_id = kept.run_id AND own.retired_at IS NULL
    UNION ALL
    SELECT past.customer_id, past.run_id, past.score, past.default_probability, past.log_odds, past.decision, past.band
    FROM credit.past_score AS past
) AS s
JOIN reporting.run_history AS r ON r.run_id = s.run_id
WHERE r.status = 'published';

COMMENT ON VIEW reporting.score_history IS
    'Every score that was ever published, one row per applicant and run. Leave out superseded rows for one score '
    'per date.';
COMMENT ON COLUMN reporting.score_history.customer_id IS 'Application number.';
COMMENT ON COLUMN reporting.score_history.run_id IS 'Run that gave the score, see run_history.';
COMMENT ON COLUMN reporting.score_history.as_of IS 'Date that the score is of.';
COMMENT ON COLUMN reporting.score_history.score IS 'Score from 0 (worst) to 100 (best).';
COMMENT ON COLUMN reporting.score_history.default_probability IS
    'Probability from 0 to 1 that the applicant will have payment difficulties.';
COMMENT ON COLUMN reporting.score_history.log_odds IS 'Log-odds of default.';
COMMENT ON COLUMN reporting.score_history.decision IS 'Decision suggested at the time: accept, review or decline.';
COMMENT ON COLUMN reporting.score_history.band IS 'Band of the score at the time, A best.';
COMMENT ON COLUMN reporting.score_history.model_id IS 'Model that gave the score, see model_card.';
COMMENT ON COLUMN reporting.score_history.superseded IS 'Whether a later published run is of the same date.';
COMMENT ON COLUMN reporting.score_history.is_current IS 'Whether this is the score that readers see in customer.';
COMMENT ON COLUMN reporting.score_history.is_ahead IS
    'Whether the run is of a later date than the one that readers see.';
COMMENT ON COLUMN reporting.score_history.default_percent IS 'The default probability in %.';
COMMENT ON COLUMN reporting.score_history.policy_id IS 'Policy that the score was decided by, see policy.';
