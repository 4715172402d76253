-- Comments of the columns that several views of cohorts have.
DO $$
DECLARE
    said record;
BEGIN
    FOR said IN
        SELECT
            'cohort_' || a.attribute || '_' || l.code AS name,
            format(
                'Chosen %s of the former customers in %s; %s for any.', a.words, l.language, l.everybody
            ) AS chosen,
            format('Choices by %s in %s.', a.words, l.language) AS choices
        FROM (
            VALUES
                ('credit', 'credit amount'),
                ('age', 'age'),
                ('annuity_income', 'annuity as a share of income'),
                ('gender', 'gender'),
                ('education', 'education'),
                ('family', 'family status'),
                ('housing', 'housing situation'),
                ('occupation', 'occupation'),
                ('region', 'rating of the home region'),
                ('contract', 'type of credit')
        ) AS a (attribute, words)
        CROSS JOIN (VALUES ('en', 'English', 'All'), ('fr', 'French', 'Tous')) AS l (code, language, everybody)
    LOOP
        EXECUTE format('COMMENT ON COLUMN reporting.cohort_selection.%I IS %L', said.name, said.chosen);
        EXECUTE format('COMMENT ON COLUMN reporting.cohort_filter.%I IS %L', said.name, said.choices);
    END LOOP;

    -- What a view passes on means what it meant where it comes from.
    FOR said IN
        SELECT a.attrelid::regclass AS view, a.attname AS name, col_description(o.attrelid, o.attnum) AS comment
        FROM (
            VALUES
                ('cohort_comparison', 'cohort_customer'),
                ('cohort_comparison', 'cohort_selection'),
                ('cohort_histogram', 'cohort_customer'),
                ('cohort_histogram', 'cohort_selection'),
                ('cohort_histogram', 'cohort_comparison'),
                ('cohort_default_rate', 'cohort_selection'),
                ('customer_cohort', 'cohort_selection'),
                ('customer_cohort', 'cohort_default_rate'),
                ('customer_cohort', 'cohort_customer'),
                ('customer_cohort', 'cohort_comparison')
        ) AS v (view, origin)
        JOIN pg_attribute AS a ON a.attrelid = ('reporting.' || v.view)::regclass
        JOIN pg_attribute AS o ON o.attrelid = ('reporting.' || v.origin)::regclass AND o.attname = a.attname
        WHERE a.attnum > 0 AND col_description(a.attrelid, a.attnum) IS NULL
            AND col_description(o.attrelid, o.attnum) IS NOT NULL
    LOOP
        EXECUTE format('COMMENT ON COLUMN %s.%I IS %L', said.view, said.name, said.comment);
    END LOOP;
END $$;
