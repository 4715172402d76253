CREATE FUNCTION reporting.cohort_statistics(
    feature text,
    credit text DEFAULT NULL,
    age text DEFAULT NULL,
    annuity_income text DEFAULT NULL,
    gender text DEFAULT NULL,
    education text DEFAULT NULL,
    family text DEFAULT NULL,
    housing text DEFAULT NULL,
    occupation text DEFAULT NULL,
    region text DEFAULT NULL,
    contract text DEFAULT NULL,
    like_customer integer DEFAULT NULL
)
    RETURNS TABLE (
        outcome text,
        members integer,
        given integer,
        q10 double precision,
        q25 double precision,
        median double precision,
        q75 double precision,
        q90 double precision,
        mean double precision
    )
    LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    names CONSTANT text[] := reporting.cohort_attributes();
    -- In the same order.
    wanted CONSTANT text[] := ARRAY[
        credit, age, annuity_income, gender, education, family, housing, occupation, region, contract
    ];
    model CONSTANT integer := (SELECT run.model_id FROM reporting.published_run AS run);
    number CONSTANT integer := (
        SELECT f.feature_id
        FROM reporting.cohort_feature AS f
        WHERE cohort_statistics.feature IN (f.feature, f.label_en, f.label_fr, f.feature_en, f.feature_fr)
    );
    codes integer[] := array_fill(0, ARRAY[cardinality(names)]);
    repaid reporting.cohort_row;
    defaulted reporting.cohort_row;
BEGIN
    IF NOT EXISTS (SELECT FROM credit.cohort_option AS o WHERE o.model_id = model) THEN
        RETURN;
    END IF;
    IF number IS NULL THEN
        RAISE EXCEPTION 'There is no feature "%" to compare by; reporting.cohort_feature lists them.', feature;
    END IF;
    FOR n IN 1..cardinality(names) LOOP
        CONTINUE WHEN wanted[n] IS NULL;
        codes[n] := (
            SELECT o.code
            FROM credit.cohort_option AS o
            WHERE o.model_id = model AND o.attribute = names[n] AND wanted[n] IN (o.value, o.label_en, o.label_fr)
        );
        IF codes[n] IS NULL THEN
            RAISE EXCEPTION 'No former customer has % "%"; it is one of %.', names[n], wanted[n], (
                SELECT string_agg(o.label_en, ', ' ORDER BY o.code)
                FROM credit.cohort_option AS o
                WHERE o.model_id = model AND o.attribute = names[n]
            );
        END IF;
    END LOOP;
    repaid := ROW(model, number, 0, NULL, codes, like_customer);
    defaulted := ROW(model, number, 1, NULL, codes, like_customer);
    RETURN QUERY
    SELECT o.outcome, (d.figures).members, (d.figures).given, (d.figures).q10, (d.figures).q25, (d.figures).median,
        (d.figures).q75, (d.figures).q90, (d.figures).mean
    FROM (
        VALUES ('repaid', ARRAY[repaid]), ('defaulted', ARRAY[defaulted]), ('all', ARRAY[repaid, defaulted])
    ) AS o (outcome, cohort)
    CROSS JOIN LATERAL (SELECT reporting.describe_cohort(o.cohort) AS figures OFFSET 0) AS d;
END $$;
COMMENT ON FUNCTION reporting.cohort_statistics(
    text, text, text, text, text, text, text, text, text, text, text, integer
) IS
    'One feature of any cohort of former customers, for those who repaid, who defaulted, and all: quantiles that '
    'somebody has and mean in the unit that people are shown, empty for fewer than 30 members with a value. '
    'Options are given as in the application file or by their words, see cohort_option: SELECT * FROM '
    'reporting.cohort_statistics(''AMT_ANNUITY'', gender => ''F'', education => ''Higher education''). With '
    'like_customer only of the former customers who are most like that applicant of the published run.';
