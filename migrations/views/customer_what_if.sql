CREATE VIEW reporting.customer_what_if AS
SELECT
    w.customer_id,
    w.outcome,
    w.text_en,
    w.text_fr,
    tag.opening || w.text_en || '</span>' AS text_html_en,
    tag.opening || w.text_fr || '</span>' AS text_html_fr
FROM reporting.what_if_summary AS w
CROSS JOIN LATERAL (
    SELECT CASE
        WHEN w.feasible
            THEN '<span style="background:#0072B2;color:#fff;border-radius:10px;padding:2px 10px;font-size:16px">✔ '
        WHEN w.outcome = 'none'
            THEN '<span style="background:#B34700;color:#fff;border-radius:10px;padding:2px 10px;font-size:16px">✖ '
        ELSE '<span style="font-size:16px">'
    END AS opening
) AS tag
WHERE reporting.one_customer(w.customer_id);

COMMENT ON VIEW reporting.customer_what_if IS
    'What would get a yes, in a sentence, for one applicant of the published run. Ask for one customer_id at a time, or '
    'ask what_if_summary for several.';
COMMENT ON COLUMN reporting.customer_what_if.customer_id IS 'Application number.';
COMMENT ON COLUMN reporting.customer_what_if.outcome IS 'What became of the search, see what_if_summary.';
COMMENT ON COLUMN reporting.customer_what_if.text_en IS 'The outcome as a sentence in English.';
COMMENT ON COLUMN reporting.customer_what_if.text_fr IS 'The outcome as a sentence in French.';
COMMENT ON COLUMN reporting.customer_what_if.text_html_en IS 'The same in English with its sign and colour (HTML).';
COMMENT ON COLUMN reporting.customer_what_if.text_html_fr IS 'The same in French with its sign and colour (HTML).';
