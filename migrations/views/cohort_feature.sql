CREATE VIEW reporting.cohort_feature AS
SELECT
    x.feature,
    x.label_en || CASE WHEN x.unit_en = '' THEN '' ELSE ' (' || x.unit_en || ')' END AS feature_en,
    x.label_fr || CASE WHEN x.unit_fr = '' THEN '' ELSE ' (' || x.unit_fr || ')' END AS feature_fr,
    x.feature_order,
    x.label_en,
    x.label_fr,
    x.unit_en,
    x.unit_fr,
    x.decimals,
    x.display_scale,
    x.feature_id
FROM (
    SELECT
        c.feature_id,
        c.ord AS feature_order,
        CASE c.feature_id WHEN 0 THEN 'SCORE' ELSE f.name END AS feature,
        CASE c.feature_id WHEN 0 THEN 'Score' ELSE f.label_en END AS label_en,
        CASE c.feature_id WHEN 0 THEN 'Score' ELSE f.label_fr END AS label_fr,
        CASE c.feature_id WHEN 0 THEN '' ELSE f.unit_en END AS unit_en,
        CASE c.feature_id WHEN 0 THEN '' ELSE f.unit_fr END AS unit_fr,
        CASE c.feature_id WHEN 0 THEN 1 ELSE f.display_decimals END::integer AS decimals,
        CASE c.feature_id WHEN 0 THEN 1 ELSE f.display_scale END AS display_scale
    FROM credit.cohort_feature AS c
    -- Number 0 is the application number in the dictionary, which is no feature; here it is the score.
    JOIN credit.feature AS f ON f.feature_id = c.feature_id
    WHERE c.model_id = (SELECT run.model_id FROM reporting.published_run AS run)
) AS x;

COMMENT ON VIEW reporting.cohort_feature IS
    'What a customer can be compared with former customers by: every feature that is a number, and the score.';
COMMENT ON COLUMN reporting.cohort_feature.feature IS 'Name of the feature, see feature, or SCORE.';
COMMENT ON COLUMN reporting.cohort_feature.feature_en IS 'Short name with unit in English.';
COMMENT ON COLUMN reporting.cohort_feature.feature_fr IS 'Short name with unit in French.';
COMMENT ON COLUMN reporting.cohort_feature.feature_order IS
    'Place in lists, from 1; what people ask first comes first.';
COMMENT ON COLUMN reporting.cohort_feature.label_en IS 'Short name in English.';
COMMENT ON COLUMN reporting.cohort_feature.label_fr IS 'Short name in French.';
COMMENT ON COLUMN reporting.cohort_feature.unit_en IS 'Unit in English; empty text if there is none.';
COMMENT ON COLUMN reporting.cohort_feature.unit_fr IS 'Unit in French; empty text if there is none.';
COMMENT ON COLUMN reporting.cohort_feature.decimals IS 'How many decimals people are shown.';
COMMENT ON COLUMN reporting.cohort_feature.display_scale IS
    'Number to multiply the value of the file with to get the value in the unit that people are shown.';
COMMENT ON COLUMN reporting.cohort_feature.feature_id IS 'Number of the feature, see feature; 0 is the score.';
