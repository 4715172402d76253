CREATE VIEW reporting.unknown_category AS
SELECT
    u.run_id,
    u.column_name,
    f.label_en,
    u.value,
    u.customers,
    f.label_fr,
    r.as_of,
    r.source_name
FROM credit.unknown_category AS u
JOIN credit.scoring_run AS r ON r.run_id = u.run_id
LEFT JOIN credit.feature AS f ON f.name = upper(u.column_name);

COMMENT ON VIEW reporting.unknown_category IS
    'Category values that the dictionary does not know, for every run; the customers were scored with the value '
    'as unknown.';
COMMENT ON COLUMN reporting.unknown_category.run_id IS 'Run that met the value, see run_history.';
COMMENT ON COLUMN reporting.unknown_category.column_name IS 'Column of the application file.';
COMMENT ON COLUMN reporting.unknown_category.label_en IS 'That column in English.';
COMMENT ON COLUMN reporting.unknown_category.value IS 'Value as written in the file.';
COMMENT ON COLUMN reporting.unknown_category.customers IS 'How many customers of the run have the value.';
COMMENT ON COLUMN reporting.unknown_category.label_fr IS 'That column in French.';
COMMENT ON COLUMN reporting.unknown_category.as_of IS 'Date of the run.';
COMMENT ON COLUMN reporting.unknown_category.source_name IS 'Name of the file.';
