-- Words and numbers for people, said in one place. All of them are immutable, so that views may call them freely;
-- their bodies are bound when they are made and depend on no search_path.

CREATE FUNCTION reporting.format_number_en(value double precision, decimals integer) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN to_char(
        round(value::numeric, decimals),
        'FM999,999,999,999,999,990' || CASE WHEN decimals > 0 THEN '.' || repeat('0', decimals) ELSE '' END
    );
COMMENT ON FUNCTION reporting.format_number_en(double precision, integer) IS
    'A number with a fixed count of decimals as written in English: 202,500.5.';

-- U+202F, the narrow no-break space, keeps the groups of a number on one line.
CREATE FUNCTION reporting.format_number_fr(value double precision, decimals integer) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN translate(reporting.format_number_en(value, decimals), ',.', U&'\202F,');
COMMENT ON FUNCTION reporting.format_number_fr(double precision, integer) IS
    'A number with a fixed count of decimals as written in French: a narrow no-break space between thousands, a '
    'decimal comma.';

-- U+2212, the minus sign, is as wide as the plus sign and is never taken for a hyphen.
CREATE FUNCTION reporting.signed_en(value double precision, decimals integer) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN CASE sign(round(value::numeric, decimals)) WHEN 1 THEN '+' WHEN -1 THEN U&'\2212' ELSE '' END
        || reporting.format_number_en(abs(value), decimals);
COMMENT ON FUNCTION reporting.signed_en(double precision, integer) IS
    'A difference with its sign as written in English: +3.1.';

CREATE FUNCTION reporting.signed_fr(value double precision, decimals integer) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN translate(reporting.signed_en(value, decimals), ',.', U&'\202F,');
COMMENT ON FUNCTION reporting.signed_fr(double precision, integer) IS
    'A difference with its sign as written in French: +3,1.';

CREATE FUNCTION reporting.arrow_en(value double precision, decimals integer) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN CASE sign(round(value::numeric, decimals)) WHEN 1 THEN '▲ ' WHEN -1 THEN '▼ ' ELSE '= ' END
        || reporting.signed_en(value, decimals);
COMMENT ON FUNCTION reporting.arrow_en(double precision, integer) IS
    'A difference that tells its direction without colour, in English: ▲ +3.1, ▼ -3.1 (with a minus sign), = 0.0.';

CREATE FUNCTION reporting.arrow_fr(value double precision, decimals integer) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN translate(reporting.arrow_en(value, decimals), ',.', U&'\202F,');
COMMENT ON FUNCTION reporting.arrow_fr(double precision, integer) IS
    'A difference that tells its direction without colour, in French: ▲ +3,1.';

CREATE FUNCTION reporting.points_en(value double precision, decimals integer) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN reporting.arrow_en(value, decimals)
        || CASE WHEN decimals = 0 AND abs(round(value)) = 1 THEN ' point' ELSE ' points' END;
COMMENT ON FUNCTION reporting.points_en(double precision, integer) IS 'Score points in English: ▲ +3.1 points.';

-- In French the plural begins at 2.
CREATE FUNCTION reporting.points_fr(value double precision, decimals integer) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN reporting.arrow_fr(value, decimals)
        || CASE WHEN abs(round(value::numeric, decimals)) < 2 THEN ' point' ELSE ' points' END;
COMMENT ON FUNCTION reporting.points_fr(double precision, integer) IS 'Score points in French: ▲ +3,1 points.';

-- Under a year people count months, and under a month days: "0.0 years" says nothing.
CREATE FUNCTION reporting.under_a_year_en(years double precision) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN CASE
        WHEN round(abs(years) * 365.25) = 1 THEN '1 day'
        WHEN round(abs(years) * 365.25) < 31 THEN round(abs(years) * 365.25) || ' days'
        WHEN round(abs(years) * 12) = 1 THEN '1 month'
        ELSE round(abs(years) * 12) || ' months'
    END;
COMMENT ON FUNCTION reporting.under_a_year_en(double precision) IS
    'A time of less than a year in months or days in English: 0.25 is 3 months.';

CREATE FUNCTION reporting.under_a_year_fr(years double precision) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN CASE
        WHEN round(abs(years) * 365.25) < 2 THEN round(abs(years) * 365.25) || U&'\00A0jour'
        WHEN round(abs(years) * 365.25) < 31 THEN round(abs(years) * 365.25) || U&'\00A0jours'
        ELSE round(abs(years) * 12) || U&'\00A0mois'
    END;
COMMENT ON FUNCTION reporting.under_a_year_fr(double precision) IS
    'A time of less than a year in months or days in French: 0.25 is 3 mois.';

CREATE FUNCTION reporting.quantity_en(value double precision, decimals integer, unit text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN COALESCE(
        CASE WHEN unit = 'years' AND abs(value) < 1 THEN reporting.under_a_year_en(value) END,
        reporting.format_number_en(value, decimals)
        -- English sets the percent sign close, French sets it off.
        || CASE unit WHEN '' THEN '' WHEN '%' THEN '%' ELSE ' ' || unit END,
        'not given'
    );
COMMENT ON FUNCTION reporting.quantity_en(double precision, integer, text) IS
    'A number with its unit in English, or "not given".';

CREATE FUNCTION reporting.quantity_fr(value double precision, decimals integer, unit text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN COALESCE(
        CASE WHEN unit = 'ans' AND abs(value) < 1 THEN reporting.under_a_year_fr(value) END,
        reporting.format_number_fr(value, decimals)
        || CASE unit WHEN '' THEN '' WHEN '%' THEN U&'\202F%' ELSE U&'\00A0' || unit END,
        'non renseigné'
    );
COMMENT ON FUNCTION reporting.quantity_fr(double precision, integer, text) IS
    'A number with its unit in French, or "non renseigné".';

CREATE FUNCTION reporting.category_en(code smallint, label text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN code IS NULL THEN 'not given' ELSE COALESCE(label, 'unknown') END;
COMMENT ON FUNCTION reporting.category_en(smallint, text) IS
    'A category in English: its label, "unknown" for a code without label, "not given" without code.';

CREATE FUNCTION reporting.category_fr(code smallint, label text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN code IS NULL THEN 'non renseigné' ELSE COALESCE(label, 'inconnu') END;
COMMENT ON FUNCTION reporting.category_fr(smallint, text) IS
    'A category in French: its label, "inconnu" for a code without label, "non renseigné" without code.';

CREATE FUNCTION reporting.value_en(
    kind text, value double precision, decimals integer, unit text, code smallint, label text
) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE
        WHEN kind IN ('category', 'flag') THEN reporting.category_en(code, label)
        ELSE reporting.quantity_en(value, decimals, unit)
    END;
COMMENT ON FUNCTION reporting.value_en(text, double precision, integer, text, smallint, text) IS
    'The value of a feature in English: a category by its label, anything else with its unit.';

CREATE FUNCTION reporting.value_fr(
    kind text, value double precision, decimals integer, unit text, code smallint, label text
) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE
        WHEN kind IN ('category', 'flag') THEN reporting.category_fr(code, label)
        ELSE reporting.quantity_fr(value, decimals, unit)
    END;
COMMENT ON FUNCTION reporting.value_fr(text, double precision, integer, text, smallint, text) IS
    'The value of a feature in French: a category by its label, anything else with its unit.';

-- Beyond 700 exp() would raise an overflow error; the score is 0 or 100 long before.
CREATE FUNCTION reporting.exact_score(log_odds double precision) RETURNS double precision
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 100 / (1 + exp(CASE WHEN log_odds > 700 THEN 700 WHEN log_odds < -700 THEN -700 ELSE log_odds END));
COMMENT ON FUNCTION reporting.exact_score(double precision) IS
    'The score before rounding, 0 worst to 100 best, of some log-odds of default.';

-- The slope of the chord of the logistic curve between the two, or of its tangent where they meet: with it, base
-- score + points = score, and every point has the sign opposite to its contribution.
CREATE FUNCTION reporting.points_per_log_odds(base_value double precision, log_odds double precision)
    RETURNS double precision
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE
        WHEN abs(log_odds - base_value) < 1e-9
            THEN -reporting.exact_score(base_value) * (100 - reporting.exact_score(base_value)) / 100
        ELSE (reporting.exact_score(log_odds) - reporting.exact_score(base_value)) / (log_odds - base_value)
    END;
COMMENT ON FUNCTION reporting.points_per_log_odds(double precision, double precision) IS
    'How many score points one unit of contribution (log-odds of default) is worth to a customer; negative.';

-- quantiles[i] is the quantile (i - 1) / 1000 of the raw values, one that somebody has (scoring.scorecard.quantiles),
-- so width_bucket, which searches the sorted list, counts in whole thousandths. Where people are shown a negated value
-- (days before today as years), the list is of those, and is read from the other end. Values that were stored in single precision once may be half a unit in the last place beside their
-- quantile: what is that near counts as equal, and the least number makes it so for zero too.
CREATE FUNCTION reporting.share_below(
    value double precision, quantiles double precision[], display_scale double precision
) RETURNS double precision
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE
        WHEN value IS NULL OR quantiles IS NULL THEN NULL
        WHEN display_scale > 0
            THEN greatest(width_bucket(value - greatest(abs(value) * 6e-8, 1e-30), quantiles) - 1, 0)
        ELSE greatest(1000 - width_bucket(value + greatest(abs(value) * 6e-8, 1e-30), quantiles), 0)
    END / 10.0::double precision;
COMMENT ON FUNCTION reporting.share_below(double precision, double precision[], double precision) IS
    'Share in % of the former customers with a value who are shown a lower one, to a tenth of a percent; empty '
    'without a value or without quantiles.';

CREATE FUNCTION reporting.share_at_or_below(
    value double precision, quantiles double precision[], display_scale double precision
) RETURNS double precision
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE
        WHEN value IS NULL OR quantiles IS NULL THEN NULL
        WHEN display_scale > 0
            THEN greatest(width_bucket(value + greatest(abs(value) * 6e-8, 1e-30), quantiles) - 1, 0)
        ELSE greatest(1000 - width_bucket(value - greatest(abs(value) * 6e-8, 1e-30), quantiles), 0)
    END / 10.0::double precision;
COMMENT ON FUNCTION reporting.share_at_or_below(double precision, double precision[], double precision) IS
    'Share in % of the former customers with a value who are shown the same or a lower one, to a tenth of a percent; '
    'empty without a value or without quantiles.';

-- z is the 97.5 % quantile of the normal distribution.
CREATE FUNCTION reporting.wilson(hits double precision, people double precision) RETURNS double precision[]
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN (
        SELECT ARRAY[
            greatest(0, 100 * (share.middle - share.half)), least(100, 100 * (share.middle + share.half))
        ]
        FROM (SELECT 1.959963984540054::double precision AS z, hits / NULLIF(people, 0) AS p, people AS n) AS x
        CROSS JOIN LATERAL (
            SELECT
                (x.p + x.z ^ 2 / (2 * x.n)) / (1 + x.z ^ 2 / x.n) AS middle,
                x.z * sqrt(x.p * (1 - x.p) / x.n + x.z ^ 2 / (4 * x.n ^ 2)) / (1 + x.z ^ 2 / x.n) AS half
        ) AS share
        WHERE people > 0
    );
COMMENT ON FUNCTION reporting.wilson(double precision, double precision) IS
    'Both ends, in %, of the 95 % interval of a share of so many people (Wilson 1927); empty for nobody.';

CREATE FUNCTION reporting.newcombe(
    hits double precision, people double precision, other_hits double precision, other_people double precision
) RETURNS double precision[]
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN (
        SELECT ARRAY[
            x.p - x.q - sqrt((x.p - x.own[1]) ^ 2 + (x.other[2] - x.q) ^ 2),
            x.p - x.q + sqrt((x.own[2] - x.p) ^ 2 + (x.q - x.other[1]) ^ 2)
        ]
        FROM (
            SELECT
                100 * hits / people AS p,
                100 * other_hits / other_people AS q,
                reporting.wilson(hits, people) AS own,
                reporting.wilson(other_hits, other_people) AS other
            WHERE people > 0 AND other_people > 0
        ) AS x
    );
COMMENT ON FUNCTION reporting.newcombe(double precision, double precision, double precision, double precision) IS
    'Both ends, in percentage points, of the 95 % interval of the difference of two shares (Newcombe 1998, method '
    '10, from the two Wilson intervals); empty where a group has nobody.';

CREATE FUNCTION reporting.with_interval_en(
    value double precision, ends double precision[], decimals integer DEFAULT 1
) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN COALESCE(
        reporting.format_number_en(value, decimals) || ' (' || reporting.format_number_en(ends[1], decimals) || ' to '
        || reporting.format_number_en(ends[2], decimals) || ')',
        '–'
    );
COMMENT ON FUNCTION reporting.with_interval_en(double precision, double precision[], integer) IS
    'A number and the interval around it in English, 78.1 (76.0 to 80.1); a dash for none.';

CREATE FUNCTION reporting.with_interval_fr(
    value double precision, ends double precision[], decimals integer DEFAULT 1
) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN COALESCE(
        reporting.format_number_fr(value, decimals) || ' (' || reporting.format_number_fr(ends[1], decimals) || ' à '
        || reporting.format_number_fr(ends[2], decimals) || ')',
        '–'
    );
COMMENT ON FUNCTION reporting.with_interval_fr(double precision, double precision[], integer) IS
    'A number and the interval around it in French, 78,1 (76,0 à 80,1); a dash for none.';

CREATE FUNCTION reporting.difference_en(
    value double precision, ends double precision[], decimals integer DEFAULT 1
) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN COALESCE(
        reporting.signed_en(value, decimals) || ' (' || reporting.signed_en(ends[1], decimals) || ' to '
        || reporting.signed_en(ends[2], decimals) || ')',
        '–'
    );
COMMENT ON FUNCTION reporting.difference_en(double precision, double precision[], integer) IS
    'A difference and the interval around it with their signs in English, +3.1 (+1.0 to +5.2); a dash for none.';

CREATE FUNCTION reporting.difference_fr(
    value double precision, ends double precision[], decimals integer DEFAULT 1
) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN COALESCE(
        reporting.signed_fr(value, decimals) || ' (' || reporting.signed_fr(ends[1], decimals) || ' à '
        || reporting.signed_fr(ends[2], decimals) || ')',
        '–'
    );
COMMENT ON FUNCTION reporting.difference_fr(double precision, double precision[], integer) IS
    'A difference and the interval around it with their signs in French, +3,1 (+1,0 à +5,2); a dash for none.';

-- As scoring.monitoring.stability_index counts: a share under 0.0001 counts as 0.0001.
CREATE FUNCTION reporting.stability_term(actual double precision, expected double precision) RETURNS double precision
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (greatest(actual, 0.0001) - greatest(expected, 0.0001))
        * ln(greatest(actual, 0.0001) / greatest(expected, 0.0001));
COMMENT ON FUNCTION reporting.stability_term(double precision, double precision) IS
    'What one bin adds to a population stability index, from its two shares of 0 to 1; nothing counts as 0.0001.';

CREATE FUNCTION reporting.drift_level(psi double precision) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN psi >= 0.25 THEN 'shifted' WHEN psi >= 0.1 THEN 'watch' WHEN psi < 0.1 THEN 'stable' END;
COMMENT ON FUNCTION reporting.drift_level(double precision) IS
    'What a population stability index means: stable under 0.1, watch under 0.25, else shifted; nothing for none.';

CREATE FUNCTION reporting.drift_level_en(psi double precision) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE reporting.drift_level(psi)
        WHEN 'shifted' THEN '▲ shifted'
        WHEN 'watch' THEN '△ watch'
        WHEN 'stable' THEN '✔ stable'
        ELSE 'not known'
    END;
COMMENT ON FUNCTION reporting.drift_level_en(double precision) IS
    'What a population stability index means, in English, with a sign.';

CREATE FUNCTION reporting.drift_level_fr(psi double precision) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE reporting.drift_level(psi)
        WHEN 'shifted' THEN '▲ a changé'
        WHEN 'watch' THEN '△ à surveiller'
        WHEN 'stable' THEN '✔ stable'
        ELSE 'inconnu'
    END;
COMMENT ON FUNCTION reporting.drift_level_fr(double precision) IS
    'What a population stability index means, in French, with a sign.';

-- Dashboards ask without templates, so a view cannot demand its customer as a parameter. In a view's WHERE this
-- function remembers, for the length of the statement, the first customer that it was asked about. Its cost makes the
-- planner apply the customer's id first. It is volatile so that it is never left out or run in parallel.
CREATE FUNCTION reporting.one_customer(customer_id integer) RETURNS boolean
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE COST 10000
AS $$
DECLARE
    statement text := statement_timestamp()::text;
    asked text := current_setting('reporting.one', true);
BEGIN
    IF asked LIKE statement || '|%' AND asked <> statement || '|' || customer_id THEN
        RAISE EXCEPTION 'Choose exactly one customer.' USING HINT =
            'For several at a time ask score_reason, explanation_group, score_change_part or customer_comparison.';
    END IF;
    PERFORM set_config('reporting.one', statement || '|' || customer_id, true);
    RETURN true;
END
$$;
COMMENT ON FUNCTION reporting.one_customer(integer) IS
    'True for the first customer that a statement asks about; for a second one it raises "Choose exactly one '
    'customer." Views of one customer at a time begin with it.';

CREATE FUNCTION reporting.check_value_fr(written text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN regexp_replace(
        regexp_replace(
            regexp_replace(
                CASE
                    WHEN written = 'none' THEN 'aucune'
                    WHEN written = 'a date up to tomorrow' THEN 'une date jusqu''à demain'
                    WHEN written = 'a value in every column that had one among former customers'
                    THEN 'une valeur dans chaque colonne qui en avait une chez les anciens clients'
                    WHEN written = 'unknown (no customer was explained twice)'
                    THEN 'inconnue (aucun client n''a été expliqué deux fois)'
                    WHEN written LIKE 'at most %' THEN regexp_replace(written, '^at most ', 'au plus ')
                    WHEN written LIKE 'at least % of the last night'
                    THEN regexp_replace(
                        written, '^at least (.*)% of the (.*) of the last night$', 'au moins \1 % des \2 de la nuit précédente'
                    )
                    WHEN written LIKE 'at least % nights (their median)'
                    THEN regexp_replace(
                        written,
                        '^at least (.*)% of the (.*) of the last (.*) nights.*$',
                        'au moins \1 % des \2 des \3 dernières nuits (leur médiane)'
                    )
                    ELSE replace(written, '% of the former customers had one', ' % des anciens clients en avaient une')
                END,
                '([0-9])%', '\1 %', 'g'
            ),
            '([0-9]),(?=[0-9]{3})', U&'\\1\202F', 'g'
        ),
        '([0-9])\.([0-9])', '\1,\2', 'g'
    );
COMMENT ON FUNCTION reporting.check_value_fr(text) IS
    'What a check expected or observed, as written in French; what has no French form stays as it is.';

-- Those that scoring.what_if moves; a test holds them together.
CREATE FUNCTION reporting.moved_by_terms() RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ARRAY[
        'AMT_CREDIT', 'CREDIT_INCOME_PERCENT', 'CREDIT_GOODS_PERCENT', 'AMT_ANNUITY', 'ANNUITY_INCOME_PERCENT',
        'CREDIT_TERM'
    ];
COMMENT ON FUNCTION reporting.moved_by_terms() IS 'The features that amount and duration of a credit move.';
