-- The card of the customer file: the state first, then what people did, the newest first.
CREATE VIEW reporting.customer_decision AS
SELECT
    w.customer_id,
    0 AS ord,
    '<b>' || CASE
        WHEN w.review_id IS NOT NULL THEN '◆ In review'
        WHEN w.decision IS NOT NULL THEN '● ' || reporting.human_decision_en(w.decision)
        ELSE '○ Not decided yet'
    END || '</b>' AS html_en,
    '<b>' || CASE
        WHEN w.review_id IS NOT NULL THEN '◆ En réexamen'
        WHEN w.decision IS NOT NULL THEN '● ' || reporting.human_decision_fr(w.decision)
        ELSE '○ Pas encore décidé'
    END || '</b>' AS html_fr
FROM (
    SELECT s.customer_id, held.decision, asked.review_id
    FROM credit.score AS s
    LEFT JOIN credit.decision AS held
        ON held.customer_id = s.customer_id
        AND NOT EXISTS (SELECT FROM credit.decision AS later WHERE later.supersedes = held.decision_id)
    LEFT JOIN credit.review AS asked
        ON asked.decision_id = held.decision_id
        AND NOT EXISTS (SELECT FROM credit.review_conclusion AS c WHERE c.review_id = asked.review_id)
    WHERE s.run_id = (SELECT p.run_id FROM credit.published_run AS p)
) AS w
WHERE reporting.one_customer(w.customer_id)
UNION ALL
SELECT
    d.customer_id,
    1 + row_number() OVER (PARTITION BY d.customer_id ORDER BY d.decision_id DESC)::integer,
    to_char(d.decided_at, 'YYYY-MM-DD') || ' · ' || reporting.html_text(d.decided_by) || ': '
        || d.decision_label_en || COALESCE(
            ', ' || reporting.format_number_en(d.amount, digits.decimals) || ' €, ' || d.duration
            || CASE d.duration WHEN 1 THEN ' month' ELSE ' months' END,
            ''
        ) || ' (' || d.follows_en || '). ' || d.reason_en
        || CASE WHEN d.note <> '' THEN ': “' || reporting.html_text(d.note) || '”' ELSE '' END,
    to_char(d.decided_at, 'DD/MM/YYYY') || ' · ' || reporting.html_text(d.decided_by) || ' : '
        || d.decision_label_fr || COALESCE(
            ', ' || reporting.format_number_fr(d.amount, digits.decimals) || U&'\00A0€, ' || d.duration || ' mois', ''
        ) || ' (' || d.follows_fr || '). ' || d.reason_fr
        || CASE WHEN d.note <> '' THEN U&' : «\00A0' || reporting.html_text(d.note) || U&'\00A0»' ELSE '' END
FROM reporting.decision AS d
CROSS JOIN LATERAL (SELECT CASE WHEN d.amount = trunc(d.amount) THEN 0 ELSE 2 END AS decimals) AS digits
WHERE reporting.one_customer(d.customer_id);

COMMENT ON VIEW reporting.customer_decision IS
    'What people did about an applicant, as lines of a card: the state, then the decisions, the newest first. Ask for '
    'one customer_id at a time.';
COMMENT ON COLUMN reporting.customer_decision.customer_id IS 'Application number.';
COMMENT ON COLUMN reporting.customer_decision.ord IS 'Place of the line; 0 is the state.';
COMMENT ON COLUMN reporting.customer_decision.html_en IS 'The line in English (HTML).';
COMMENT ON COLUMN reporting.customer_decision.html_fr IS 'The line in French (HTML).';
