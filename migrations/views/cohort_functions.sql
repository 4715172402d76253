-- Statistics of any cohort of former customers from bitmaps, see scoring/cohort.py: the AND of the bitmaps of the
-- chosen options is the cohort, in the order of a feature's values. Who shares the first digits of a value is an
-- interval of places there, which each further digit divides. Groups under 30 get no statistics.
--
-- Who is like one applicant (credit.similar_member) is one more bitmap, made when it is asked for. Of them, groups under
-- 20 are not even counted: what is said of like customers is said of 20 people or more, everywhere.
--
-- Aggregates collect what the rows know of the cohort (cohort_types.sql), and only at the end go to the bitmaps,
-- once for all figures. Several rows are one cohort: those of both outcomes, or of several options of an attribute.
--
-- Readers may not read the bitmaps, so what they call runs with its owner's rights.

CREATE FUNCTION reporting.choose_every_filter() RETURNS boolean
    LANGUAGE plpgsql VOLATILE COST 10000 AS $$
BEGIN
    RAISE EXCEPTION 'Choose a value (or All) in every cohort filter.';
END $$;
COMMENT ON FUNCTION reporting.choose_every_filter() IS
    'An error: what a row without words, which any condition on the words would have taken away, comes to.';

-- All of an attribute, chosen together with some of it, counts as not chosen.
CREATE FUNCTION reporting.cohort_choice(cohort reporting.cohort_row[]) RETURNS TABLE (attribute text, code integer)
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    IF cardinality(cohort) > 1 AND (
        SELECT count(DISTINCT r.options) FROM unnest(cohort) AS r
    ) <> (
        SELECT exp(sum(ln(a.choices)))::bigint
        FROM (
            SELECT count(DISTINCT o.code) AS choices
            FROM unnest(cohort) AS r
            CROSS JOIN LATERAL unnest(r.options) WITH ORDINALITY AS o (code, n)
            GROUP BY o.n
        ) AS a
    ) THEN
        RAISE EXCEPTION 'Cohort filters can be combined by AND only.';
    END IF;
    RETURN QUERY
    SELECT DISTINCT o.attribute, o.code
    FROM unnest(cohort) AS r
    CROSS JOIN LATERAL unnest(reporting.cohort_attributes(), r.options) AS o (attribute, code)
    WHERE o.code <> 0;
END $$;
COMMENT ON FUNCTION reporting.cohort_choice(reporting.cohort_row[]) IS
    'The options that a cohort is restricted to; none for everybody.';

CREATE FUNCTION reporting.like_whom(cohort reporting.cohort_row[]) RETURNS integer
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    asked integer[];
BEGIN
    SELECT array_agg(DISTINCT r.like_customer) INTO asked FROM unnest(cohort) AS r;
    IF array_position(asked, NULL) IS NOT NULL THEN
        RETURN NULL;
    END IF;
    IF cardinality(asked) > 1 THEN
        RAISE EXCEPTION 'Choose exactly one customer.';
    END IF;
    RETURN asked[1];
END $$;
COMMENT ON FUNCTION reporting.like_whom(reporting.cohort_row[]) IS
    'The applicant whom a cohort is restricted to be like; empty for no such restriction.';

-- Row security holds the viewer to the own customers here too.
CREATE FUNCTION reporting.like_bitmap(model integer, feature integer, outcome integer, customer integer)
    RETURNS bit varying
    LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
    members CONSTANT integer[] := (
        SELECT s.members
        FROM credit.similar_member AS s
        WHERE s.run_id = (SELECT run.run_id FROM credit.published_run AS run) AND s.customer_id = customer
    );
    position CONSTANT integer := (
        SELECT f.ord FROM credit.cohort_feature AS f WHERE f.model_id = model AND f.feature_id = feature
    );
    place integer;
    bitmap bit varying;
BEGIN
    -- Of two equal bits, neither.
    SELECT s.bits # s.bits
    INTO bitmap
    FROM credit.cohort_slice AS s
    WHERE s.model_id = model AND s.feature_id = feature AND s.target = outcome AND s.slice = 0;
    FOR place IN
        SELECT p.place
        FROM unnest(members) AS m (customer_id)
        -- One by one, by the index, whatever the planner knows of a table that was just filled.
        CROSS JOIN LATERAL (
            SELECT c.places[position] AS place, c.target
            FROM credit.cohort_place AS c
            WHERE c.model_id = model AND c.customer_id = m.customer_id
            LIMIT 1
        ) AS p
        WHERE p.target = outcome AND p.place > 0
    LOOP
        bitmap := set_bit(bitmap, place - 1, 1);
    END LOOP;
    RETURN bitmap;
END $$;
COMMENT ON FUNCTION reporting.like_bitmap(integer, integer, integer, integer) IS
    'Who of the former customers with one outcome and a value of a feature is among those who are most like an '
    'applicant of the published run, in the order of the values; nobody where the run or its model does not know.';

CREATE FUNCTION reporting.cohort_bitmap(
    model integer, feature integer, outcome integer, cohort reporting.cohort_row[]
)
    RETURNS bit varying
    LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
    like_customer CONSTANT integer := reporting.like_whom(cohort);
    bitmap bit varying;
BEGIN
    bitmap := COALESCE(
        (
            SELECT bit_and(chosen.members)
            FROM (
                SELECT bit_or(m.members) AS members
                FROM reporting.cohort_choice(cohort) AS c
                JOIN credit.cohort_member AS m
                    ON m.model_id = model
                    AND m.feature_id = feature
                    AND m.target = outcome
                    AND m.attribute = c.attribute
                    AND m.code = c.code
                GROUP BY c.attribute
            ) AS chosen
        ),
        (
            SELECT s.bits
            FROM credit.cohort_slice AS s
            WHERE s.model_id = model AND s.feature_id = feature AND s.target = outcome AND s.slice = 0
        )
    );
    IF like_customer IS NOT NULL THEN
        bitmap := bitmap & reporting.like_bitmap(model, feature, outcome, like_customer);
    END IF;
    RETURN bitmap;
END $$;
COMMENT ON FUNCTION reporting.cohort_bitmap(integer, integer, integer, reporting.cohort_row[]) IS
    'Who of the former customers with one outcome and a value of a feature is in a cohort, in the order of the '
    'values.';

CREATE FUNCTION reporting.told_count(people integer, like_customer integer) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN like_customer IS NULL OR people >= 20 THEN people END;
COMMENT ON FUNCTION reporting.told_count(integer, integer) IS
    'How many are in a group; empty for fewer than 20 of those who are like an applicant.';

CREATE FUNCTION reporting.describe_cohort(cohort reporting.cohort_row[]) RETURNS reporting.cohort_figures
    LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    percents CONSTANT bigint[] := '{10,25,50,75,90}';
    model CONSTANT integer := cohort[1].model_id;
    feature CONSTANT integer := cohort[1].feature_id;
    own CONSTANT bigint := cohort[1].customer_code;
    like_customer CONSTANT integer := reporting.like_whom(cohort);
    outcomes CONSTANT integer[] := ARRAY(SELECT DISTINCT r.outcome FROM unnest(cohort) AS r ORDER BY 1);
    grid credit.cohort_feature;
    scale double precision;
    slice record;
    bitmaps bit varying[];
    total bigint := 0;
    -- Of each quantile, and last of the customer: the digits so far, the interval of places per outcome that have
    -- them, and how many of the cohort in it come before the one that is looked for.
    searches integer := 5;
    codes bigint[] := '{0,0,0,0,0,0}';
    lows integer[];
    highs integer[];
    ranks bigint[];
    below bigint := 0;
    -- What two searches with the same digits share: where the interval divides, and how many have a 0 there.
    digits_so_far bigint;
    division integer[];
    zeros bigint;
    shown double precision[];
    found reporting.cohort_figures;
BEGIN
    -- Of several features together there is nothing to say.
    IF cohort IS NULL OR EXISTS (SELECT FROM unnest(cohort) AS r WHERE r.feature_id <> feature) THEN
        RETURN NULL;
    END IF;
    SELECT * INTO grid FROM credit.cohort_feature AS f WHERE f.model_id = model AND f.feature_id = feature;
    scale := CASE feature WHEN 0 THEN 1 ELSE (
        SELECT f.display_scale FROM credit.feature AS f WHERE f.feature_id = feature
    ) END;
    found.members := 0;
    found.given := 0;
    FOR o IN 1..cardinality(outcomes) LOOP
        bitmaps[o] := reporting.cohort_bitmap(model, feature, outcomes[o], cohort);
        found.given := found.given + bit_count(bitmaps[o]);
        -- Everybody has a score.
        found.members := found.members + bit_count(reporting.cohort_bitmap(model, 0, outcomes[o], cohort));
        FOR i IN 1..6 LOOP
            lows[2 * i + o] := 0;
            highs[2 * i + o] := length(bitmaps[o]);
        END LOOP;
    END LOOP;
    found.members := reporting.told_count(found.members, like_customer);
    IF found.given < 30 THEN
        found.given := reporting.told_count(found.given, like_customer);
        RETURN found;
    END IF;
    FOR i IN 1..5 LOOP
        -- As percentile_disc counts, but in whole numbers: 0.07 x 100 is more than 7 in floating point. Where people
        -- are shown a negated value, from the other end.
        ranks[i] := (percents[i] * found.given + 99) / 100;
        ranks[i] := CASE WHEN scale > 0 THEN ranks[i] - 1 ELSE found.given - ranks[i] END;
    END LOOP;
    IF own >= 0 AND own < 1::bigint << grid.bits THEN
        searches := 6;
    END IF;

    FOR slice IN
        SELECT s.slice AS number, array_agg(s.bits ORDER BY s.target) AS digits
        FROM credit.cohort_slice AS s
        WHERE s.model_id = model AND s.feature_id = feature AND s.target = ANY (outcomes) AND s.slice > 0
        GROUP BY s.slice
        ORDER BY s.slice
    LOOP
        total := 2 * total;
        FOR o IN 1..cardinality(outcomes) LOOP
            total := total + bit_count(bitmaps[o] & slice.digits[o]);
        END LOOP;
        digits_so_far := -1;
        FOR i IN 1..searches LOOP
            IF codes[i] <> digits_so_far THEN
                digits_so_far := codes[i];
                zeros := 0;
                FOR o IN 1..cardinality(outcomes) LOOP
                    division[o] := highs[2 * i + o] - bit_count(substring(
                        slice.digits[o] FROM lows[2 * i + o] + 1 FOR highs[2 * i + o] - lows[2 * i + o]
                    ));
                    zeros := zeros + bit_count(substring(
                        bitmaps[o] FROM lows[2 * i + o] + 1 FOR division[o] - lows[2 * i + o]
                    ));
                END LOOP;
            END IF;
            IF (CASE i WHEN 6 THEN own >> (grid.bits - slice.number) & 1 = 1 ELSE ranks[i] >= zeros END) THEN
                codes[i] := 2 * codes[i] + 1;
                FOR o IN 1..cardinality(outcomes) LOOP
                    lows[2 * i + o] := division[o];
                END LOOP;
                IF i = 6 THEN
                    below := below + zeros;
                ELSE
                    ranks[i] := ranks[i] - zeros;
                END IF;
            ELSE
                codes[i] := 2 * codes[i];
                FOR o IN 1..cardinality(outcomes) LOOP
                    highs[2 * i + o] := division[o];
                END LOOP;
            END IF;
        END LOOP;
    END LOOP;

    FOR i IN 1..5 LOOP
        shown[i] := (grid.origin + codes[i]) / grid.per_unit * scale;
    END LOOP;
    found.q10 := shown[1];
    found.q25 := shown[2];
    found.median := shown[3];
    found.q75 := shown[4];
    found.q90 := shown[5];
    found.mean := (grid.origin + total::double precision / found.given) / grid.per_unit * scale;
    IF searches = 6 THEN
        IF scale > 0 THEN
            FOR o IN 1..cardinality(outcomes) LOOP
                below := below + bit_count(substring(
                    bitmaps[o] FROM lows[12 + o] + 1 FOR highs[12 + o] - lows[12 + o]
                ));
            END LOOP;
        END IF;
    ELSIF own >= 0 THEN
        below := found.given;
    END IF;
    IF own IS NOT NULL THEN
        found.percentile := 100.0 * CASE WHEN scale > 0 THEN below ELSE found.given - below END / found.given;
    END IF;
    RETURN found;
END $$;
COMMENT ON FUNCTION reporting.describe_cohort(reporting.cohort_row[]) IS
    'What cohort_summary comes to, from what its rows know of the cohort.';

CREATE AGGREGATE reporting.cohort_summary(reporting.cohort_row) (
    SFUNC = array_append,
    STYPE = reporting.cohort_row[],
    FINALFUNC = reporting.describe_cohort
);
COMMENT ON AGGREGATE reporting.cohort_summary(reporting.cohort_row) IS
    'One feature of a cohort, from column cohort of cohort_comparison: members, members with a value (given), '
    'and of these, in the unit that people are shown, q10, q25, median, q75, q90 (values that somebody has), '
    'mean, and percentile (share in % at or below the customer''s value); empty for fewer than 30. Group by '
    'feature; without outcome it is of all former customers. Take a figure by '
    '(reporting.cohort_summary(cohort)).median: all figures of a row are worked out once.';

CREATE FUNCTION reporting.rate_cohort(cohort reporting.cohort_row[]) RETURNS reporting.cohort_rates
    LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    model CONSTANT integer := cohort[1].model_id;
    repaid bit varying;
    defaulted bit varying;
    found reporting.cohort_rates;
BEGIN
    IF cohort IS NULL THEN
        RETURN NULL;
    END IF;
    -- In the order of the score, which everybody has.
    repaid := reporting.cohort_bitmap(model, 0, 0, cohort);
    defaulted := reporting.cohort_bitmap(model, 0, 1, cohort);
    found.members := bit_count(repaid) + bit_count(defaulted);
    IF found.members < 30 THEN
        found.members := reporting.told_count(found.members, reporting.like_whom(cohort));
        RETURN found;
    END IF;
    found.repaid := bit_count(repaid);
    found.defaulted := bit_count(defaulted);
    found.default_rate := 100.0 * found.defaulted / found.members;
    SELECT (
        f.origin + sum(
            bit_count(s.bits & CASE s.target WHEN 0 THEN repaid ELSE defaulted END)
            * (1::bigint << (f.bits - s.slice))
        )::double precision / found.members
    ) / f.per_unit
    INTO found.mean_score
    FROM credit.cohort_feature AS f
    JOIN credit.cohort_slice AS s ON s.model_id = f.model_id AND s.feature_id = f.feature_id AND s.slice > 0
    WHERE f.model_id = model AND f.feature_id = 0
    GROUP BY f.origin, f.per_unit;
    RETURN found;
END $$;
COMMENT ON FUNCTION reporting.rate_cohort(reporting.cohort_row[]) IS
    'What cohort_rate comes to, from what its rows know of the cohort.';

CREATE AGGREGATE reporting.cohort_rate(reporting.cohort_row) (
    SFUNC = array_append,
    STYPE = reporting.cohort_row[],
    FINALFUNC = reporting.rate_cohort
);
COMMENT ON AGGREGATE reporting.cohort_rate(reporting.cohort_row) IS
    'A cohort as a whole, from column cohort of cohort_default_rate: members, and unless they are fewer than 30 '
    'how many repaid and defaulted, default_rate in % and mean_score. Take a figure by '
    '(reporting.cohort_rate(cohort)).default_rate.';

CREATE FUNCTION reporting.cohort_bars(cohort reporting.cohort_row)
    RETURNS TABLE (
        bin smallint,
        bin_en text,
        bin_fr text,
        lower double precision,
        upper double precision,
        first_code bigint,
        last_code bigint,
        members integer,
        given integer
    )
    LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog ROWS 25 AS $$
DECLARE
    bitmap CONSTANT bit varying := reporting.cohort_bitmap(
        cohort.model_id, cohort.feature_id, cohort.outcome, ARRAY[cohort]
    );
    told CONSTANT integer := reporting.told_count(bit_count(bitmap)::integer, cohort.like_customer);
BEGIN
    RETURN QUERY
    SELECT
        b.bin,
        b.label_en,
        b.label_fr,
        b.lower,
        b.upper,
        b.first_code,
        b.last_code,
        CASE
            WHEN told IS NOT NULL THEN bit_count(
                CASE cohort.outcome
                    WHEN 0 THEN substring(bitmap FROM b.repaid_before + 1 FOR b.repaid)
                    ELSE substring(bitmap FROM b.defaulted_before + 1 FOR b.defaulted)
                END
            )
        END::integer,
        told
    FROM credit.cohort_bin AS b
    WHERE b.model_id = cohort.model_id AND b.feature_id = cohort.feature_id;
END $$;
COMMENT ON FUNCTION reporting.cohort_bars(reporting.cohort_row) IS
    'The histogram of a cohort of one outcome: the bins, the members of each, and how many members have a value '
    'at all; empty for fewer than 20 who are like an applicant.';

-- Who has a value is counted once, however many bins the bar is made of.
CREATE FUNCTION reporting.total_bar(bars reporting.cohort_bar_row[]) RETURNS reporting.cohort_bar_figures
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (
        WITH chosen AS (
            SELECT b.*
            FROM unnest(bars) AS b
            WHERE NOT EXISTS (
                SELECT
                FROM unnest(b.options) WITH ORDINALITY AS o (code, n)
                WHERE o.code = 0 AND (SELECT max(other.options[o.n]) FROM unnest(bars) AS other) <> 0
            )
            -- Anybody, chosen together with those who are like an applicant, is anybody.
            AND (b.like_customer IS NULL OR NOT EXISTS (
                SELECT FROM unnest(bars) AS other WHERE other.like_customer IS NULL
            ))
        ),
        summed AS (
            SELECT
                (SELECT sum(c.members) FROM chosen AS c)::integer AS members,
                (
                    SELECT sum(d.given)
                    FROM (SELECT DISTINCT c.outcome, c.options, c.given FROM chosen AS c) AS d
                )::integer AS given,
                -- A group that is not told is in no sum either.
                (SELECT bool_and(c.given IS NOT NULL) FROM chosen AS c) AS told
        )
        SELECT ROW(
            CASE WHEN s.told THEN s.members END,
            CASE WHEN s.told THEN s.given END,
            CASE WHEN s.told AND s.given >= 30 THEN 100.0 * s.members / s.given END
        )::reporting.cohort_bar_figures
        FROM summed AS s
    );
COMMENT ON FUNCTION reporting.total_bar(reporting.cohort_bar_row[]) IS
    'What cohort_bar comes to, from what its rows know of the bar.';

CREATE AGGREGATE reporting.cohort_bar(reporting.cohort_bar_row) (
    SFUNC = array_append,
    STYPE = reporting.cohort_bar_row[],
    FINALFUNC = reporting.total_bar
);
COMMENT ON AGGREGATE reporting.cohort_bar(reporting.cohort_bar_row) IS
    'A bar of a histogram, from column cohort of cohort_histogram: members of the bin, members of the cohort '
    'with a value (given), and share of the first in the second in %, empty for fewer than 30. Group by bin and '
    'outcome, or by bin and series.';

CREATE FUNCTION reporting.cohort_note_en(members integer) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN COALESCE(members, 0) < 30 THEN 'fewer than 30 former customers' ELSE '' END;
COMMENT ON FUNCTION reporting.cohort_note_en(integer) IS
    'Why a small cohort has no statistics, in English; empty text for 30 members and more.';

CREATE FUNCTION reporting.cohort_note_fr(members integer) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN COALESCE(members, 0) < 30 THEN 'moins de 30 anciens clients' ELSE '' END;
COMMENT ON FUNCTION reporting.cohort_note_fr(integer) IS
    'Why a small cohort has no statistics, in French; empty text for 30 members and more.';
