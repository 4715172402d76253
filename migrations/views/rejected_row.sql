CREATE VIEW reporting.rejected_row AS
SELECT
    x.run_id,
    r.as_of,
    x.row_number,
    x.customer_id,
    x.column_name,
    f.label_en,
    x.rule,
    x.value,
    r.source_name,
    f.label_fr,
    CASE x.rule
        WHEN 'required' THEN 'a value is due here'
        WHEN 'type' THEN 'not a number'
        WHEN 'finite' THEN 'infinite'
        WHEN 'whole' THEN 'not a whole number'
        WHEN 'range' THEN 'outside what is possible'
        WHEN 'unique' THEN 'this number is in the file twice'
        WHEN 'fields' THEN 'not as many fields as columns'
        ELSE x.rule
    END AS rule_en,
    CASE x.rule
        WHEN 'required' THEN 'une valeur est obligatoire'
        WHEN 'type' THEN 'pas un nombre'
        WHEN 'finite' THEN 'infini'
        WHEN 'whole' THEN 'pas un nombre entier'
        WHEN 'range' THEN 'hors du possible'
        WHEN 'unique' THEN 'ce numéro est deux fois dans le fichier'
        WHEN 'fields' THEN 'pas autant de champs que de colonnes'
        ELSE x.rule
    END AS rule_fr
FROM credit.rejected_application AS x
JOIN credit.scoring_run AS r ON r.run_id = x.run_id
LEFT JOIN credit.feature AS f ON f.name = upper(x.column_name);

COMMENT ON VIEW reporting.rejected_row IS
    'Why rows of the files were not scored, for every run: one row per row of the file and broken rule.';
COMMENT ON COLUMN reporting.rejected_row.run_id IS 'Run that rejected the row, see run_history.';
COMMENT ON COLUMN reporting.rejected_row.as_of IS 'Date of that run.';
COMMENT ON COLUMN reporting.rejected_row.row_number IS
    'Number of the row in the file; 1 is the first after the header.';
COMMENT ON COLUMN reporting.rejected_row.customer_id IS
    'Application number as written in the file; empty if it had none.';
COMMENT ON COLUMN reporting.rejected_row.column_name IS 'Column that breaks the rule.';
COMMENT ON COLUMN reporting.rejected_row.label_en IS
    'That column in English; empty if it is none of the dictionary''s.';
COMMENT ON COLUMN reporting.rejected_row.rule IS 'Rule that is broken.';
COMMENT ON COLUMN reporting.rejected_row.value IS 'Value as written in the file; empty if it had none.';
COMMENT ON COLUMN reporting.rejected_row.source_name IS 'Name of the file.';
COMMENT ON COLUMN reporting.rejected_row.label_fr IS
    'That column in French; empty if it is none of the dictionary''s.';
COMMENT ON COLUMN reporting.rejected_row.rule_en IS 'What is wrong with the value, in words in English.';
COMMENT ON COLUMN reporting.rejected_row.rule_fr IS 'What is wrong with the value, in words in French.';
