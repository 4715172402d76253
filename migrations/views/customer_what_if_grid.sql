-- Amounts down, durations across: a month is short, so that the table fits a phone.
CREATE VIEW reporting.customer_what_if_grid AS
SELECT
    line.customer_id,
    line.ord,
    min(line.label_en) AS label_en,
    min(line.label_fr) AS label_fr,
    max(line.cell) FILTER (WHERE line.place = 1) AS cell_1,
    max(line.cell) FILTER (WHERE line.place = 2) AS cell_2,
    max(line.cell) FILTER (WHERE line.place = 3) AS cell_3,
    max(line.cell) FILTER (WHERE line.place = 4) AS cell_4,
    max(line.cell) FILTER (WHERE line.place = 5) AS cell_5,
    max(line.cell) FILTER (WHERE line.place = 6) AS cell_6
FROM (
    WITH cell AS (
        SELECT
            o.customer_id,
            o.amount,
            o.duration,
            o.score,
            o.decision,
            o.is_asked,
            dense_rank() OVER (PARTITION BY o.customer_id ORDER BY o.amount DESC) AS row_place,
            dense_rank() OVER (PARTITION BY o.customer_id ORDER BY o.duration) AS place
        FROM reporting.what_if AS o
        WHERE o.is_grid
    )
    SELECT
        c.customer_id,
        c.row_place AS ord,
        c.place,
        reporting.format_number_en(c.amount, 0) AS label_en,
        reporting.format_number_fr(c.amount, 0) AS label_fr,
        '<span style="' || CASE c.decision
            WHEN 'accept' THEN 'background:#0072B2;color:#fff'
            WHEN 'review' THEN 'background:#E69F00;color:#000'
            ELSE 'background:#B34700;color:#fff'
        END || ';border-radius:4px;padding:2px 6px' || CASE WHEN c.is_asked THEN ';outline:3px solid #999' ELSE '' END
        || '">' || CASE c.decision WHEN 'accept' THEN '✔ ' WHEN 'review' THEN '? ' ELSE '✖ ' END || c.score
        || CASE WHEN c.is_asked THEN ' ◀' ELSE '' END || '</span>' AS cell
    FROM cell AS c
    UNION ALL
    SELECT DISTINCT
        c.customer_id,
        0,
        c.place,
        'Amount ↓ months →',
        'Montant ↓ mois →',
        '<span style="font-weight:600">' || c.duration || '</span>'
    FROM cell AS c
) AS line
WHERE reporting.one_customer(line.customer_id)
GROUP BY line.customer_id, line.ord;

COMMENT ON VIEW reporting.customer_what_if_grid IS
    'The decision on each amount and duration, for one applicant of the published run who is not accepted, as a heat map: '
    'a row per amount, the largest first, below a row of the months. What the application asks for has ◀. Ask for one '
    'customer_id at a time, or ask what_if for several.';
COMMENT ON COLUMN reporting.customer_what_if_grid.customer_id IS 'Application number.';
COMMENT ON COLUMN reporting.customer_what_if_grid.ord IS 'Place of the row: 0 has the months, 1 the largest amount.';
COMMENT ON COLUMN reporting.customer_what_if_grid.label_en IS 'The amount as written in English.';
COMMENT ON COLUMN reporting.customer_what_if_grid.label_fr IS 'The amount as written in French.';
COMMENT ON COLUMN reporting.customer_what_if_grid.cell_1 IS
    'Duration 1 of 6, from the shortest: in row 0 the months, below the decision as a sign and the score (HTML).';
COMMENT ON COLUMN reporting.customer_what_if_grid.cell_2 IS
    'Duration 2 of 6, from the shortest: in row 0 the months, below the decision as a sign and the score (HTML).';
COMMENT ON COLUMN reporting.customer_what_if_grid.cell_3 IS
    'Duration 3 of 6, from the shortest: in row 0 the months, below the decision as a sign and the score (HTML).';
COMMENT ON COLUMN reporting.customer_what_if_grid.cell_4 IS
    'Duration 4 of 6, from the shortest: in row 0 the months, below the decision as a sign and the score (HTML).';
COMMENT ON COLUMN reporting.customer_what_if_grid.cell_5 IS
    'Duration 5 of 6, from the shortest: in row 0 the months, below the decision as a sign and the score (HTML).';
COMMENT ON COLUMN reporting.customer_what_if_grid.cell_6 IS
    'Duration 6 of 6, from the shortest: in row 0 the months, below the decision as a sign and the score (HTML).';
