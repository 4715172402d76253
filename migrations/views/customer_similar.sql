CREATE VIEW reporting.customer_similar AS
SELECT
    s.customer_id,
    s.text_en,
    s.text_fr,
    s.text_en || COALESCE(
        chart.drawn || '● these ' || s.neighbours || ' people, with the 95% interval · ◆ the model' || chart.closing, '')
    || COALESCE(
        '<span style="display:block;font-size:12px">The middle half of them: age '
        || reporting.format_number_en(s.age_years_low, 0) || ' to '
        || reporting.quantity_en(s.age_years_high, 0, 'years') || ', income '
        || reporting.format_number_en(s.income_low, 0) || ' to '
        || reporting.quantity_en(s.income_high, 0, '€') || ', amount '
        || reporting.format_number_en(s.credit_amount_low, 0) || ' to '
        || reporting.quantity_en(s.credit_amount_high, 0, '€') || ', annuity '
        || reporting.format_number_en(s.annuity_income_share_low, 0) || ' to '
        || reporting.quantity_en(s.annuity_income_share_high, 0, '%') || ' of the income.</span>',
        ''
    ) AS similar_html_en,
    s.text_fr || COALESCE(
        chart.drawn || '● ces ' || s.neighbours || U&' personnes, avec l''intervalle à 95\202F% · ◆ le modèle' || chart.closing, '')
    || COALESCE(
        '<span style="display:block;font-size:12px">La moitié centrale : âge de '
        || reporting.format_number_fr(s.age_years_low, 0) || ' à '
        || reporting.quantity_fr(s.age_years_high, 0, 'ans') || ', revenu de '
        || reporting.format_number_fr(s.income_low, 0) || ' à '
        || reporting.quantity_fr(s.income_high, 0, '€') || ', montant de '
        || reporting.format_number_fr(s.credit_amount_low, 0) || ' à '
        || reporting.quantity_fr(s.credit_amount_high, 0, '€') || ', échéance de '
        || reporting.format_number_fr(s.annuity_income_share_low, 0) || ' à '
        || reporting.quantity_fr(s.annuity_income_share_high, 0, '%') || ' du revenu.</span>',
        ''
    ) AS similar_html_fr
FROM reporting.similar_customers AS s
CROSS JOIN LATERAL (
    -- The axis ends at the next ten percent.
    SELECT LEAST(1, ceil(10 * GREATEST(s.high, s.model_probability)) / 10) AS ending
) AS axis
CROSS JOIN LATERAL (
    -- Drawn in text and boxes and not on a canvas: legible in a light and in a dark theme, on paper and aloud.
    SELECT
        '<span style="display:block;padding:4px 24px;text-align:center">'
        || '<span style="display:flex;justify-content:center;width:0;line-height:1.1;margin-left:'
        || round((100 * s.model_probability / axis.ending)::numeric, 2)
        || '%"><span style="white-space:nowrap;color:#D55E00">◆</span></span>'
        || '<span style="display:flex;height:12px;border-bottom:1px solid #888888">'
        || '<span style="flex:' || round((1000 * s.low)::numeric, 2) || ' 1 0"></span>'
        || '<span style="flex:' || round((1000 * (s.default_rate - s.low))::numeric, 2)
        || ' 1 0;height:4px;margin-top:3px;background:#0072B2"></span>'
        || '<span style="width:10px;height:10px;margin:0 -5px;border-radius:5px;background:#0072B2"></span>'
        || '<span style="flex:' || round((1000 * (s.high - s.default_rate))::numeric, 2)
        || ' 1 0;height:4px;margin-top:3px;background:#0072B2"></span>'
        || '<span style="flex:' || round((1000 * (axis.ending - s.high))::numeric, 2) || ' 1 0"></span></span>'
        || '<span style="display:flex;justify-content:space-between;font-size:12px"><span>0</span><span>'
        || round((100 * axis.ending)::numeric) || '%</span></span><span style="display:block;font-size:12px">' AS drawn,
        '</span></span>' AS closing
) AS chart
WHERE reporting.one_customer(s.customer_id);

COMMENT ON VIEW reporting.customer_similar IS
    'What became of the former customers who are most like one applicant of the published run, as the customer file shows '
    'it. Ask for one customer_id at a time, or ask similar_customers for several.';
COMMENT ON COLUMN reporting.customer_similar.customer_id IS 'Application number.';
COMMENT ON COLUMN reporting.customer_similar.text_en IS 'What became of them, as a sentence in English.';
COMMENT ON COLUMN reporting.customer_similar.text_fr IS 'What became of them, as a sentence in French.';
COMMENT ON COLUMN reporting.customer_similar.similar_html_en IS
    'The sentence in English with a chart of the rate, its interval and the model, and what they were like (HTML).';
COMMENT ON COLUMN reporting.customer_similar.similar_html_fr IS
    'The sentence in French with a chart of the rate, its interval and the model, and what they were like (HTML).';
