CREATE VIEW reporting.customer_score AS
SELECT
    c.customer_id,
    c.score,
    c.score_exact,
    c.default_probability,
    c.default_percent,
    c.band,
    c.band_label_en,
    c.band_label_fr,
    c.decision,
    c.decision_label_en,
    c.decision_label_fr,
    c.percentile,
    run.former_mean_score,
    c.score_exact - run.former_mean_score AS difference_to_former_mean,
    c.previous_score,
    c.score_change,
    COALESCE(line.accept_score, threshold.accept_score) AS accept_threshold,
    CASE WHEN line.accept_score IS NULL THEN threshold.review_score ELSE line.review_score END AS review_threshold,
    c.base_score,
    c.run_id,
    c.as_of,
    run.previous_as_of,
    scale.opening || '<span style="display:block;padding-top:6px">' || scale.sign || c.decision_label_en || ' · '
        || lower(c.band_label_en) || '</span><span style="display:block;font-size:12px">' || limits.said_en
        || '</span></span>' AS scale_html_en,
    scale.opening || '<span style="display:block;padding-top:6px">' || scale.sign || c.decision_label_fr || ' · '
        || lower(c.band_label_fr) || '</span><span style="display:block;font-size:12px">' || limits.said_fr
        || '</span></span>' AS scale_html_fr
FROM reporting.customer AS c
CROSS JOIN reporting.published_run AS run
CROSS JOIN LATERAL (
    -- Drawn in text and boxes and not on a canvas: letters and signs tell what colours tell, it is legible in a light
    -- and in a dark theme, on paper and aloud.
    SELECT
        CASE c.decision WHEN 'accept' THEN '✔ ' WHEN 'review' THEN '? ' ELSE '✖ ' END AS sign,
        '<span style="display:block;padding:4px 36px;text-align:center">'
        || '<span style="display:flex;justify-content:center;width:0;margin-left:' || c.score
        || '%"><span style="white-space:nowrap;font-size:22px;font-weight:600;line-height:1.2">'
        || c.score || ' / 100<br>▼</span></span>'
        || '<span style="display:flex;height:26px;line-height:26px">'
        || string_agg(
            '<span style="flex:' || b.maximum_score + 1 - b.minimum_score || ' 1 0;min-width:0;' || CASE
                WHEN b.decision = 'decline' THEN 'background:#B34700;color:#fff'
                WHEN b.decision = 'review' THEN 'background:#E69F00;color:#000'
                WHEN b.place = 1 THEN 'background:#08519C;color:#fff'
                WHEN b.place = 2 THEN 'background:#4292C6;color:#000'
                ELSE 'background:#9ECAE1;color:#000'
            END || '">' || b.band || '</span>',
            '' ORDER BY b.minimum_score
        )
        || '</span><span style="display:flex;font-size:12px;text-align:left">'
        || string_agg(
            '<span style="flex:' || b.maximum_score + 1 - b.minimum_score || ' 1 0;min-width:0'
            || CASE WHEN b.place % 2 = 0 AND b.room < 8 THEN ';padding-top:14px' ELSE '' END || '">'
            || b.minimum_score || '</span>',
            '' ORDER BY b.minimum_score
        )
        || '<span style="width:0;padding-top:14px">100</span></span>' AS opening
    FROM (
        SELECT
            known.*,
            row_number() OVER (ORDER BY known.minimum_score DESC) AS place,
            -- How far the numbers on either side are away: where they are close, every second one stands lower.
            least(
                known.maximum_score + 1 - known.minimum_score,
                known.minimum_score - lag(known.minimum_score) OVER (ORDER BY known.minimum_score)
            ) AS room
        FROM reporting.score_band AS known
    ) AS b
) AS scale
CROSS JOIN (
    SELECT
        min(b.minimum_score) FILTER (WHERE b.decision = 'accept')::double precision AS accept_score,
        min(b.minimum_score) FILTER (WHERE b.decision = 'review')::double precision AS review_score
    FROM reporting.score_band AS b
) AS threshold
LEFT JOIN LATERAL (
    SELECT
        100 * (1 - l.accept_below) AS accept_score,
        CASE WHEN l.decline_from > l.accept_below THEN 100 * (1 - l.decline_from) END AS review_score
    FROM credit.policy_line AS l
    WHERE l.policy_id = run.policy_id
        AND l.contract_type IN (
            0,
            (
                SELECT a.name_contract_type
                FROM credit.new_customer AS a
                WHERE a.run_id = c.run_id AND a.customer_id = c.customer_id
            )
        )
    ORDER BY l.contract_type DESC
    LIMIT 1
) AS line ON true
CROSS JOIN LATERAL (
    SELECT
        'Accept from ' || reporting.format_number_en(own.accept_score, own.decimals) || COALESCE(
            ', review from ' || reporting.format_number_en(own.review_score, own.decimals), ''
        ) AS said_en,
        'Accorder dès ' || reporting.format_number_fr(own.accept_score, own.decimals) || COALESCE(
            ', étudier dès ' || reporting.format_number_fr(own.review_score, own.decimals), ''
        ) AS said_fr
    FROM (
        SELECT
            COALESCE(line.accept_score, threshold.accept_score) AS accept_score,
            CASE WHEN line.accept_score IS NULL THEN threshold.review_score ELSE line.review_score END AS review_score,
            CASE WHEN line.accept_score IS NULL THEN 0 ELSE 1 END AS decimals
    ) AS own
) AS limits
WHERE reporting.one_customer(c.customer_id);

COMMENT ON VIEW reporting.customer_score IS
    'The score of one applicant of the published run and where it stands. Ask for one customer_id at a time.';
COMMENT ON COLUMN reporting.customer_score.customer_id IS 'Application number.';
COMMENT ON COLUMN reporting.customer_score.score IS 'Score from 0 (worst) to 100 (best).';
COMMENT ON COLUMN reporting.customer_score.score_exact IS 'Score before rounding, 0 to 100.';
COMMENT ON COLUMN reporting.customer_score.default_probability IS
    'Probability from 0 to 1 that the applicant will have payment difficulties.';
COMMENT ON COLUMN reporting.customer_score.default_percent IS 'The default probability in %.';
COMMENT ON COLUMN reporting.customer_score.band IS 'Band of the score, A best, see score_band.';
COMMENT ON COLUMN reporting.customer_score.band_label_en IS 'The band in English.';
COMMENT ON COLUMN reporting.customer_score.band_label_fr IS 'The band in French.';
COMMENT ON COLUMN reporting.customer_score.decision IS 'Suggested decision: accept, review or decline.';
COMMENT ON COLUMN reporting.customer_score.decision_label_en IS 'The suggested decision in English.';
COMMENT ON COLUMN reporting.customer_score.decision_label_fr IS 'The suggested decision in French.';
COMMENT ON COLUMN reporting.customer_score.percentile IS
    'Share of former customers, in %, whose score is lower than or equal to this one; 100 is best.';
COMMENT ON COLUMN reporting.customer_score.former_mean_score IS
    'Mean score before rounding of the former customers, each scored by a model that never saw them.';
COMMENT ON COLUMN reporting.customer_score.difference_to_former_mean IS
    'Score before rounding less the mean of the former customers, in points; positive is better.';
COMMENT ON COLUMN reporting.customer_score.previous_score IS
    'Score on the last date before this one; empty if the customer was not scored then.';
COMMENT ON COLUMN reporting.customer_score.score_change IS 'Score less previous score, in points; positive is better.';
COMMENT ON COLUMN reporting.customer_score.accept_threshold IS 
    'Lowest score for which the suggestion is to accept; where the lender''s figures decide, over which it is.';
COMMENT ON COLUMN reporting.customer_score.review_threshold IS 
    'Lowest score for which the suggestion is to review; where the lender''s figures decide, over which it is.';
COMMENT ON COLUMN reporting.customer_score.base_score IS
    'Starting point: the score, before rounding, at the mean log-odds of the training data (base value), where the '
    'model is before it looks at a customer; 0 to 100. It is not the mean score of former customers.';
COMMENT ON COLUMN reporting.customer_score.run_id IS 'Run that the row is from, see run_history.';
COMMENT ON COLUMN reporting.customer_score.as_of IS 'Date that the score is of.';
COMMENT ON COLUMN reporting.customer_score.previous_as_of IS 'Date of the run published just before this one.';
COMMENT ON COLUMN reporting.customer_score.scale_html_en IS
    'The score on a scale of the bands with their limits, and the suggested decision, in English (HTML).';
COMMENT ON COLUMN reporting.customer_score.scale_html_fr IS
    'The score on a scale of the bands with their limits, and the suggested decision, in French (HTML).';
