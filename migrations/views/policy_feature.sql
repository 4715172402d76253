CREATE VIEW reporting.policy_feature AS
SELECT
    r.policy_id,
    f.feature_id,
    f.name AS feature,
    f.label_en AS feature_label_en,
    f.label_fr AS feature_label_fr,
    r.may_score,
    r.may_be_told,
    r.direction AS risk_direction,
    CASE WHEN r.may_score THEN '✔ yes' ELSE '✖ no' END AS may_score_en,
    CASE WHEN r.may_score THEN '✔ oui' ELSE '✖ non' END AS may_score_fr,
    CASE WHEN r.may_be_told THEN '✔ yes' ELSE '✖ no' END AS may_be_told_en,
    CASE WHEN r.may_be_told THEN '✔ oui' ELSE '✖ non' END AS may_be_told_fr,
    CASE r.direction
        WHEN 'rises' THEN '▲ may only rise with it'
        WHEN 'falls' THEN '▼ may only fall with it'
        ELSE ''
    END AS risk_direction_en,
    CASE r.direction
        WHEN 'rises' THEN '▲ ne peut que monter avec lui'
        WHEN 'falls' THEN '▼ ne peut que baisser avec lui'
        ELSE ''
    END AS risk_direction_fr,
    r.because_en,
    r.because_fr,
    r.policy_id = (SELECT max(newest.policy_id) FROM credit.policy AS newest) AS is_current,
    COALESCE(r.policy_id = (SELECT run.policy_id FROM reporting.published_run AS run), false) AS is_published,
    r.because_en IS NOT NULL OR r.direction IS NOT NULL AS is_named,
    cost.auc_cost,
    reporting.difference_en(cost.auc_cost, cost.ends, 4) AS auc_cost_en,
    reporting.difference_fr(cost.auc_cost, cost.ends, 4) AS auc_cost_fr,
    cost.guessed_auc
FROM credit.policy_feature AS r
JOIN credit.feature AS f ON f.feature_id = r.feature_id
LEFT JOIN (
    SELECT
        each.feature,
        each.auc_cost,
        ARRAY[each.auc_cost - 1.96 * each.auc_cost_se, each.auc_cost + 1.96 * each.auc_cost_se] AS ends,
        each.guessed_auc
    FROM credit.model_version AS m
    CROSS JOIN jsonb_to_recordset(COALESCE(m.metrics #> '{policy,exclusions}', '[]'))
        AS each (feature text, auc_cost double precision, auc_cost_se double precision, guessed_auc double precision)
    WHERE m.model_id = (SELECT run.model_id FROM reporting.published_run AS run)
) AS cost ON cost.feature = f.name AND NOT r.may_score;

COMMENT ON VIEW reporting.policy_feature IS
    'What each version of the policy says of each feature: whether it may score and be told, and which way its risk '
    'may go.';
COMMENT ON COLUMN reporting.policy_feature.policy_id IS 'The version, see policy.';
COMMENT ON COLUMN reporting.policy_feature.feature_id IS 'Number of the feature in the dictionary.';
COMMENT ON COLUMN reporting.policy_feature.feature IS 'Name of the feature, see feature.';
COMMENT ON COLUMN reporting.policy_feature.feature_label_en IS 'The feature in English.';
COMMENT ON COLUMN reporting.policy_feature.feature_label_fr IS 'The feature in French.';
COMMENT ON COLUMN reporting.policy_feature.may_score IS 'Whether the model may use it.';
COMMENT ON COLUMN reporting.policy_feature.may_be_told IS 'Whether it may be told as a reason.';
COMMENT ON COLUMN reporting.policy_feature.risk_direction IS
    'rises: the risk may only rise with the value, falls: it may only fall; empty where it may do either.';
COMMENT ON COLUMN reporting.policy_feature.may_score_en IS 'Whether the model may use it, in English.';
COMMENT ON COLUMN reporting.policy_feature.may_score_fr IS 'Whether the model may use it, in French.';
COMMENT ON COLUMN reporting.policy_feature.may_be_told_en IS 'Whether it may be told as a reason, in English.';
COMMENT ON COLUMN reporting.policy_feature.may_be_told_fr IS 'Whether it may be told as a reason, in French.';
COMMENT ON COLUMN reporting.policy_feature.risk_direction_en IS 'Which way the risk may go, in English.';
COMMENT ON COLUMN reporting.policy_feature.risk_direction_fr IS 'Which way the risk may go, in French.';
COMMENT ON COLUMN reporting.policy_feature.because_en IS
    'Why, in English; empty for a feature that the policy does not name.';
COMMENT ON COLUMN reporting.policy_feature.because_fr IS
    'Why, in French; empty for a feature that the policy does not name.';
COMMENT ON COLUMN reporting.policy_feature.is_current IS 'Whether the next night decides by this version.';
COMMENT ON COLUMN reporting.policy_feature.is_published IS
    'Whether the run that readers see was decided by this version.';
COMMENT ON COLUMN reporting.policy_feature.is_named IS
    'Whether the policy says anything of the feature; all others may score, be told and go either way.';
COMMENT ON COLUMN reporting.policy_feature.auc_cost IS
    'What keeping the feature out costs in AUC, paired over the same folds, by the model that readers see; empty for one '
    'that may score, and for one that was added to the policy since.';
COMMENT ON COLUMN reporting.policy_feature.auc_cost_en IS 'This cost with its 95 % interval in English.';
COMMENT ON COLUMN reporting.policy_feature.auc_cost_fr IS 'This cost with its 95 % interval in French.';
COMMENT ON COLUMN reporting.policy_feature.guessed_auc IS
    'How well the feature can be guessed from what is left: AUC of that guess, 0.5 is chance and 1 certainty.';
