-- Before the first night, those of the policy that it will be decided by.
CREATE VIEW reporting.score_band AS
SELECT
    b.band,
    b.minimum_score,
    b.maximum_score,
    b.decision,
    b.label_en,
    b.label_fr,
    b.decision_en,
    b.decision_fr
FROM reporting.policy_band AS b
WHERE b.policy_id = COALESCE(
    (SELECT run.policy_id FROM reporting.published_run AS run),
    (SELECT max(newest.policy_id) FROM credit.policy AS newest)
);

COMMENT ON VIEW reporting.score_band IS 'Score bands of the policy that the published run was decided by, and the decision that each of them suggests.';
COMMENT ON COLUMN reporting.score_band.band IS 'Letter of the band, A best.';
COMMENT ON COLUMN reporting.score_band.minimum_score IS 'Lowest score of the band, 0 to 100.';
COMMENT ON COLUMN reporting.score_band.maximum_score IS 'Highest score of the band, 0 to 100.';
COMMENT ON COLUMN reporting.score_band.decision IS
    'Suggested decision: accept, review or decline; where the lender''s figures decide, that of the band''s middle.';
COMMENT ON COLUMN reporting.score_band.label_en IS 'The band in English.';
COMMENT ON COLUMN reporting.score_band.label_fr IS 'The band in French.';
COMMENT ON COLUMN reporting.score_band.decision_en IS 'The suggested decision in English.';
COMMENT ON COLUMN reporting.score_band.decision_fr IS 'The suggested decision in French.';
