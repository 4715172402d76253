-- Where it is proved that no amount and no duration gets a yes, nobody is advised to ask for another one.
-- What the leading feature's value is in words is asked for row by row, and only where it is wanted: counting the
-- reasons of a night must not read all of its contributions.
CREATE VIEW reporting.decision_reason AS
SELECT
    r.run_id,
    run.as_of,
    r.customer_id,
    r.place,
    r.code AS reason_code,
    t.refusal_en AS text_en,
    t.refusal_fr AS text_fr,
    t.advisor_en,
    t.advisor_fr,
    CASE WHEN NOT advice.is_void THEN t.action_en END AS action_en,
    CASE WHEN NOT advice.is_void THEN t.action_fr END AS action_fr,
    r.points AS score_points,
    r.log_odds AS relative_contribution,
    f.name AS feature,
    f.label_en AS feature_label_en,
    f.label_fr AS feature_label_fr,
    (
        SELECT reporting.value_en(f.kind, v.numeric_value * f.display_scale, f.display_decimals, f.unit_en,
            v.category_code, k.label_en)
        FROM credit.shap_value AS v
        LEFT JOIN credit.feature_category AS k ON k.feature_id = v.feature_id AND k.code = v.category_code
        WHERE v.run_id = r.run_id AND v.customer_id = r.customer_id AND v.feature_id = r.feature_id
    ) AS value_en,
    (
        SELECT reporting.value_fr(f.kind, v.numeric_value * f.display_scale, f.display_decimals, f.unit_fr,
            v.category_code, k.label_fr)
        FROM credit.shap_value AS v
        LEFT JOIN credit.feature_category AS k ON k.feature_id = v.feature_id AND k.code = v.category_code
        WHERE v.run_id = r.run_id AND v.customer_id = r.customer_id AND v.feature_id = r.feature_id
    ) AS value_fr,
    r.catalogue_id,
    r.run_id = (SELECT p.run_id FROM credit.published_run AS p) AS is_current
FROM credit.reason AS r
JOIN credit.scoring_run AS run ON run.run_id = r.run_id AND run.status = 'published' AND run.retired_at IS NULL
JOIN credit.reason_text AS t ON t.catalogue_id = r.catalogue_id AND t.code = r.code
LEFT JOIN credit.feature AS f ON f.feature_id = r.feature_id
CROSS JOIN LATERAL (
    SELECT
        EXISTS (
            SELECT FROM credit.what_if_summary AS w
            WHERE w.run_id = r.run_id AND w.customer_id = r.customer_id AND w.outcome = 'none'
        )
        AND EXISTS (
            SELECT FROM credit.feature AS m
            WHERE m.feature_id = ANY (t.feature_ids) AND m.name = ANY (reporting.moved_by_terms())
        ) AS is_void
) AS advice;

COMMENT ON VIEW reporting.decision_reason IS
    'Why an application was not accepted: one row per published run whose details are still kept, applicant and '
    'reason, the strongest first. Texts are those of the catalogue that the run used. Ask for a run_id, '
    'that of published_run, say.';
COMMENT ON COLUMN reporting.decision_reason.run_id IS 'Run that the row is from, see run_history.';
COMMENT ON COLUMN reporting.decision_reason.as_of IS 'Date that the score is of.';
COMMENT ON COLUMN reporting.decision_reason.customer_id IS 'Application number.';
COMMENT ON COLUMN reporting.decision_reason.place IS 'Place of the reason among those of the applicant, 1 is the strongest.';
COMMENT ON COLUMN reporting.decision_reason.reason_code IS
    'Code of the reason in the catalogue; R00 says that no reason may be told.';
COMMENT ON COLUMN reporting.decision_reason.text_en IS 'What the customer is told in a letter, in English.';
COMMENT ON COLUMN reporting.decision_reason.text_fr IS 'What the customer is told in a letter, in French.';
COMMENT ON COLUMN reporting.decision_reason.advisor_en IS 'What the advisor is told, in English.';
COMMENT ON COLUMN reporting.decision_reason.advisor_fr IS 'What the advisor is told, in French.';
COMMENT ON COLUMN reporting.decision_reason.action_en IS
    'What the customer can do about it, in English; empty where nothing honestly can be done.';
COMMENT ON COLUMN reporting.decision_reason.action_fr IS
    'What the customer can do about it, in French; empty where nothing honestly can be done.';
COMMENT ON COLUMN reporting.decision_reason.score_points IS
    'What the reason does to the score, in score points, beside the mean of accepted former customers near the line; '
    'never above 0, and empty where no reason may be told.';
COMMENT ON COLUMN reporting.decision_reason.relative_contribution IS
    'The same as log-odds of default; positive means more risk.';
COMMENT ON COLUMN reporting.decision_reason.feature IS
    'The feature that counts most in the reason, of those that may be told, see feature.';
COMMENT ON COLUMN reporting.decision_reason.feature_label_en IS 'Short name of that feature in English.';
COMMENT ON COLUMN reporting.decision_reason.feature_label_fr IS 'Short name of that feature in French.';
COMMENT ON COLUMN reporting.decision_reason.value_en IS
    'The applicant''s own value of that feature in words and units in English.';
COMMENT ON COLUMN reporting.decision_reason.value_fr IS
    'The applicant''s own value of that feature in words and units in French.';
COMMENT ON COLUMN reporting.decision_reason.catalogue_id IS 'Version of the catalogue that the run used.';
COMMENT ON COLUMN reporting.decision_reason.is_current IS 'Whether this is the run that readers see in customer.';
