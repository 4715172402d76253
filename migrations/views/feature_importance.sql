CREATE VIEW reporting.feature_importance AS
SELECT
    f.name AS feature,
    f.label_en,
    f.label_fr,
    m.mean_absolute_contribution,
    m.mean_contribution,
    m.mean_absolute_points,
    100 * m.mean_absolute_points / NULLIF(sum(m.mean_absolute_points) OVER (), 0) AS share,
    rank() OVER (ORDER BY m.mean_absolute_points DESC) AS rank,
    m.customers,
    f.kind,
    f.actionable,
    m.feature_id,
    direction.correlation,
    CASE
        WHEN f.kind IN ('category', 'flag') THEN 'depends on the category'
        WHEN direction.correlation >= 0.1 THEN '▲ a higher value raises the score'
        WHEN direction.correlation <= -0.1 THEN '▼ a higher value lowers the score'
        ELSE '◆ neither higher nor lower alone'
    END AS direction_en,
    CASE
        WHEN f.kind IN ('category', 'flag') THEN 'dépend de la catégorie'
        WHEN direction.correlation >= 0.1 THEN '▲ une valeur plus élevée augmente le score'
        WHEN direction.correlation <= -0.1 THEN '▼ une valeur plus élevée diminue le score'
        ELSE '◆ ni plus ni moins à elle seule'
    END AS direction_fr,
    direction.sign || ' ' || f.label_en AS signed_label_en,
    direction.sign || ' ' || f.label_fr AS signed_label_fr
FROM credit.run_feature AS m
JOIN credit.feature AS f ON f.feature_id = m.feature_id
-- Days before today are shown as years: a larger value to people is a smaller one in the file.
CROSS JOIN LATERAL (
    SELECT m.correlation * sign(f.display_scale) AS correlation
) AS turned
CROSS JOIN LATERAL (
    SELECT
        turned.correlation,
        CASE
            WHEN f.kind IN ('category', 'flag') THEN '●'
            WHEN turned.correlation >= 0.1 THEN '▲'
            WHEN turned.correlation <= -0.1 THEN '▼'
            ELSE '◆'
        END AS sign
) AS direction
WHERE m.run_id = (SELECT p.run_id FROM credit.published_run AS p);

COMMENT ON VIEW reporting.feature_importance IS
    'How much each feature moves the scores of the published run, over all applicants.';
COMMENT ON COLUMN reporting.feature_importance.feature IS
    'Column name as in the application file, or name of the derived feature, see feature.';
COMMENT ON COLUMN reporting.feature_importance.label_en IS 'Short name of the feature in English.';
COMMENT ON COLUMN reporting.feature_importance.label_fr IS 'Short name of the feature in French.';
COMMENT ON COLUMN reporting.feature_importance.mean_absolute_contribution IS
    'Mean of the contributions without their sign, in log-odds of default.';
COMMENT ON COLUMN reporting.feature_importance.mean_contribution IS
    'Mean of the contributions with their sign, in log-odds of default; positive means more risk than the former '
    'customers have.';
COMMENT ON COLUMN reporting.feature_importance.mean_absolute_points IS
    'By how many score points the feature moves an applicant''s score up or down, on average.';
COMMENT ON COLUMN reporting.feature_importance.share IS
    'Mean absolute points as a share of the total over all features, in %.';
COMMENT ON COLUMN reporting.feature_importance.rank IS 'Place by mean absolute points, 1 is the largest.';
COMMENT ON COLUMN reporting.feature_importance.customers IS 'How many applicants the means are over.';
COMMENT ON COLUMN reporting.feature_importance.kind IS 'What sort of value it is, see feature.';
COMMENT ON COLUMN reporting.feature_importance.actionable IS
    'Whether applicants can soundly change the value themselves before they apply again.';
COMMENT ON COLUMN reporting.feature_importance.feature_id IS 'Number of the feature, see feature.';
COMMENT ON COLUMN reporting.feature_importance.correlation IS
    'Correlation, -1 to 1, of the value as people are shown it (by deciles of former customers) with its points; '
    'positive if higher values raise the score; empty for a category or flag.';
COMMENT ON COLUMN reporting.feature_importance.direction_en IS
    'What a higher value does to the score, in English; correlations within 0.1 of 0 say neither.';
COMMENT ON COLUMN reporting.feature_importance.direction_fr IS
    'What a higher value does to the score, in French; correlations within 0.1 of 0 say neither.';
COMMENT ON COLUMN reporting.feature_importance.signed_label_en IS
    'Short name in English after a sign: ▲ a higher value raises the score, ▼ it lowers it, ◆ neither, ● a category.';
COMMENT ON COLUMN reporting.feature_importance.signed_label_fr IS
    'Short name in French after a sign: ▲ a higher value raises the score, ▼ it lowers it, ◆ neither, ● a category.';
