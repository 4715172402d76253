CREATE VIEW reporting.policy_line AS
SELECT
    l.policy_id,
    COALESCE(k.label_en, 'All others') AS contract_type_en,
    COALESCE(k.label_fr, 'Tous les autres') AS contract_type_fr,
    l.gain,
    l.loss,
    l.accept_below AS accept_below_probability,
    100 * l.accept_below AS accept_below_percent,
    l.decline_from AS decline_from_probability,
    100 * l.decline_from AS decline_from_percent
FROM credit.policy_line AS l
LEFT JOIN credit.feature_category AS k
    ON k.code = l.contract_type
    AND k.feature_id = (SELECT f.feature_id FROM credit.feature AS f WHERE f.name = 'NAME_CONTRACT_TYPE');

COMMENT ON VIEW reporting.policy_line IS
    'The lender''s figures of each version of the policy that decides by them, and the limits that follow.';
COMMENT ON COLUMN reporting.policy_line.policy_id IS 'The version, see policy.';
COMMENT ON COLUMN reporting.policy_line.contract_type_en IS
    'Contract type that the figures are of, in English; all others are those that have none of their own.';
COMMENT ON COLUMN reporting.policy_line.contract_type_fr IS
    'Contract type that the figures are of, in French; all others are those that have none of their own.';
COMMENT ON COLUMN reporting.policy_line.gain IS 'What a credit that is repaid brings, in the unit of loss.';
COMMENT ON COLUMN reporting.policy_line.loss IS 'What a credit that is not repaid costs, in the unit of gain.';
COMMENT ON COLUMN reporting.policy_line.accept_below_probability IS
    'Default probability, 0 to 1, under which the suggestion is to accept.';
COMMENT ON COLUMN reporting.policy_line.accept_below_percent IS 'The same in %.';
COMMENT ON COLUMN reporting.policy_line.decline_from_probability IS
    'Default probability, 0 to 1, from which on the suggestion is to decline.';
COMMENT ON COLUMN reporting.policy_line.decline_from_percent IS 'The same in %.';
