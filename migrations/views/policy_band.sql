-- Where the lender's figures decide, a band has the decision of the default probability in its middle.
CREATE VIEW reporting.policy_band AS
SELECT
    b.policy_id,
    b.band,
    b.minimum_score,
    b.maximum_score,
    d.decision,
    b.label_en,
    b.label_fr,
    d.label_en AS decision_en,
    d.label_fr AS decision_fr
FROM (
    SELECT
        every.*,
        (
            COALESCE(
                lead(every.minimum_score) OVER (PARTITION BY every.policy_id ORDER BY every.minimum_score), 101
            ) - 1
        )::smallint AS maximum_score
    FROM credit.score_band AS every
) AS b
LEFT JOIN credit.policy_line AS l ON l.policy_id = b.policy_id AND l.contract_type = 0
CROSS JOIN LATERAL (
    SELECT 1 - (b.minimum_score + b.maximum_score) / 200.0::double precision AS probability
) AS middle
LEFT JOIN credit.suggested_decision AS d ON d.decision = COALESCE(
    b.decision,
    CASE
        WHEN middle.probability < l.accept_below THEN 'accept'
        WHEN middle.probability >= l.decline_from THEN 'decline'
        ELSE 'review'
    END
);

COMMENT ON VIEW reporting.policy_band IS 'The score bands of each version of the policy.';
COMMENT ON COLUMN reporting.policy_band.policy_id IS 'The version, see policy.';
COMMENT ON COLUMN reporting.policy_band.band IS 'Letter of the band, A best.';
COMMENT ON COLUMN reporting.policy_band.minimum_score IS 'Lowest score of the band, 0 to 100.';
COMMENT ON COLUMN reporting.policy_band.maximum_score IS 'Highest score of the band, 0 to 100.';
COMMENT ON COLUMN reporting.policy_band.decision IS
    'Suggested decision: accept, review or decline; where the lender''s figures decide, that of the band''s middle.';
COMMENT ON COLUMN reporting.policy_band.label_en IS 'The band in English.';
COMMENT ON COLUMN reporting.policy_band.label_fr IS 'The band in French.';
COMMENT ON COLUMN reporting.policy_band.decision_en IS 'The suggested decision in English.';
COMMENT ON COLUMN reporting.policy_band.decision_fr IS 'The suggested decision in French.';
