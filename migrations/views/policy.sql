CREATE VIEW reporting.policy AS
SELECT
    p.policy_id,
    p.sha256,
    p.name_en,
    p.name_fr,
    p.set_at,
    p.set_by,
    p.reason,
    p.policy_id = (SELECT max(newest.policy_id) FROM credit.policy AS newest) AS is_current,
    COALESCE(p.policy_id = (SELECT run.policy_id FROM reporting.published_run AS run), false) AS is_published,
    CASE WHEN l.policy_id IS NULL THEN 'scores' ELSE 'figures' END AS decides_by,
    l.gain,
    l.loss,
    l.accept_below AS accept_below_probability,
    100 * l.accept_below AS accept_below_percent,
    l.decline_from AS decline_from_probability,
    100 * l.decline_from AS decline_from_percent,
    (
        SELECT count(*)
        FROM credit.policy_feature AS f
        WHERE f.policy_id = p.policy_id AND NOT f.may_score
    )::integer AS barred_features,
    (
        SELECT count(*)
        FROM credit.scoring_run AS r
        WHERE r.policy_id = p.policy_id AND r.status = 'published'
    )::integer AS published_runs,
    p.text,
    CASE WHEN l.policy_id IS NULL THEN 'bands of the score' ELSE 'the lender''s figures' END AS decides_by_en,
    CASE WHEN l.policy_id IS NULL THEN 'les classes du score' ELSE 'les chiffres du prêteur' END AS decides_by_fr,
    CASE
        WHEN p.policy_id = (SELECT max(newest.policy_id) FROM credit.policy AS newest) THEN '✔ in force'
        ELSE 'earlier'
    END AS state_en,
    CASE
        WHEN p.policy_id = (SELECT max(newest.policy_id) FROM credit.policy AS newest) THEN '✔ en vigueur'
        ELSE 'antérieure'
    END AS state_fr
FROM credit.policy AS p
LEFT JOIN credit.policy_line AS l ON l.policy_id = p.policy_id AND l.contract_type = 0;

COMMENT ON VIEW reporting.policy IS
    'Every version of the lender''s policy: who put it in force, when and why, and how it decides.';
COMMENT ON COLUMN reporting.policy.policy_id IS 'The version; runs and models name the one that they used.';
COMMENT ON COLUMN reporting.policy.sha256 IS 'SHA-256 of the policy''s file.';
COMMENT ON COLUMN reporting.policy.name_en IS 'Name of the policy in English.';
COMMENT ON COLUMN reporting.policy.name_fr IS 'Name of the policy in French.';
COMMENT ON COLUMN reporting.policy.set_at IS 'When it was put in force.';
COMMENT ON COLUMN reporting.policy.set_by IS 'Who put it in force.';
COMMENT ON COLUMN reporting.policy.reason IS 'Why it was put in force.';
COMMENT ON COLUMN reporting.policy.is_current IS 'Whether the next night decides by it.';
COMMENT ON COLUMN reporting.policy.is_published IS 'Whether the run that readers see was decided by it.';
COMMENT ON COLUMN reporting.policy.decides_by IS
    'scores: bands of the score decide; figures: the lender''s gain and loss decide.';
COMMENT ON COLUMN reporting.policy.gain IS
    'What a credit that is repaid brings, in the unit of loss; empty where scores decide.';
COMMENT ON COLUMN reporting.policy.loss IS
    'What a credit that is not repaid costs, in the unit of gain; empty where scores decide.';
COMMENT ON COLUMN reporting.policy.accept_below_probability IS
    'Default probability, 0 to 1, under which the suggestion is to accept; empty where scores decide.';
COMMENT ON COLUMN reporting.policy.accept_below_percent IS 'The same in %.';
COMMENT ON COLUMN reporting.policy.decline_from_probability IS
    'Default probability, 0 to 1, from which on the suggestion is to decline; empty where scores decide.';
COMMENT ON COLUMN reporting.policy.decline_from_percent IS 'The same in %.';
COMMENT ON COLUMN reporting.policy.barred_features IS 'How many features may not score, see policy_feature.';
COMMENT ON COLUMN reporting.policy.published_runs IS 'How many published runs were decided by it.';
COMMENT ON COLUMN reporting.policy.text IS 'The policy''s file.';
COMMENT ON COLUMN reporting.policy.decides_by_en IS 'What decides, in English.';
COMMENT ON COLUMN reporting.policy.decides_by_fr IS 'What decides, in French.';
COMMENT ON COLUMN reporting.policy.state_en IS 'Whether it is in force, in English.';
COMMENT ON COLUMN reporting.policy.state_fr IS 'Whether it is in force, in French.';
