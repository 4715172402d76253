CREATE VIEW reporting.category AS
SELECT
    f.name AS feature,
    k.code,
    k.value,
    k.label_en,
    k.label_fr
FROM credit.feature_category AS k
JOIN credit.feature AS f ON f.feature_id = k.feature_id;

COMMENT ON VIEW reporting.category IS 'The known values of category and yes/no columns.';
COMMENT ON COLUMN reporting.category.feature IS 'Column name as in the application file.';
COMMENT ON COLUMN reporting.category.code IS
    'Number that stands for the value; a category counts from 1, a yes/no flag is 0 or 1.';
COMMENT ON COLUMN reporting.category.value IS 'Value as written in the application file.';
COMMENT ON COLUMN reporting.category.label_en IS 'The value in English.';
COMMENT ON COLUMN reporting.category.label_fr IS 'The value in French.';
