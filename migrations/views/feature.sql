CREATE VIEW reporting.feature AS
SELECT
    f.feature_id,
    f.name,
    f.label_en,
    f.label_fr,
    f.description_en,
    f.description_fr,
    f.unit_en,
    f.unit_fr,
    f.kind,
    f.actionable,
    f.origin,
    f.display_scale,
    f.display_decimals,
    g.name AS feature_group,
    g.label_en AS group_label_en,
    g.label_fr AS group_label_fr,
    fact.name AS fact,
    ARRAY(
        SELECT source.name
        FROM credit.feature AS source
        WHERE source.feature_id = ANY (f.computed_from)
        ORDER BY source.feature_id
    ) AS computed_from
FROM credit.feature AS f
JOIN credit.feature_group AS g ON g.group_id = f.group_id
JOIN credit.feature AS fact ON fact.feature_id = f.fact_id;

COMMENT ON VIEW reporting.feature IS
    'The feature dictionary: the columns of an application and the features derived from them, in words and units.';
COMMENT ON COLUMN reporting.feature.feature_id IS
    'Number of the feature: 0 is the application number, 1 to 120 are the columns of the file in their order.';
COMMENT ON COLUMN reporting.feature.name IS
    'Column name as in the application file, or name of the derived feature.';
COMMENT ON COLUMN reporting.feature.label_en IS 'Short name in English.';
COMMENT ON COLUMN reporting.feature.label_fr IS 'Short name in French.';
COMMENT ON COLUMN reporting.feature.description_en IS 'What the feature means, one sentence in English.';
COMMENT ON COLUMN reporting.feature.description_fr IS 'What the feature means, one sentence in French.';
COMMENT ON COLUMN reporting.feature.unit_en IS
    'Unit that people are shown, in English; empty text if there is none.';
COMMENT ON COLUMN reporting.feature.unit_fr IS
    'Unit that people are shown, in French; empty text if there is none.';
COMMENT ON COLUMN reporting.feature.kind IS
    'What sort of value it is: amount, duration, count, flag, category, rating, share, ratio, external_score, '
    'hour, index or id.';
COMMENT ON COLUMN reporting.feature.actionable IS
    'Whether applicants can soundly change the value themselves before they apply again.';
COMMENT ON COLUMN reporting.feature.origin IS
    'application for a column of the file, derived for a feature computed from several of them.';
COMMENT ON COLUMN reporting.feature.display_scale IS
    'Number to multiply the value of the file with to get the value in the unit that people are shown.';
COMMENT ON COLUMN reporting.feature.display_decimals IS 'How many decimals people are shown.';
COMMENT ON COLUMN reporting.feature.feature_group IS
    'Name of the group of features that say the same thing in other words, as reasons tell it.';
COMMENT ON COLUMN reporting.feature.group_label_en IS 'Short name of the group in English.';
COMMENT ON COLUMN reporting.feature.group_label_fr IS 'Short name of the group in French.';
COMMENT ON COLUMN reporting.feature.fact IS
    'The first of the features that are computed from one another, this one included: they may change together.';
COMMENT ON COLUMN reporting.feature.computed_from IS
    'Columns of the application file that a derived feature is computed from; none for a column of the file.';
