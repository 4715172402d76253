CREATE VIEW reporting.band_distribution AS
WITH counted AS (
    SELECT s.run_id, s.band, sum(s.customers)::bigint AS customers
    FROM credit.run_score AS s
    GROUP BY s.run_id, s.band
)
SELECT
    r.run_id,
    r.as_of,
    c.band,
    b.label_en AS band_label_en,
    b.label_fr AS band_label_fr,
    b.decision,
    b.decision_en AS decision_label_en,
    b.decision_fr AS decision_label_fr,
    c.customers,
    (100 * c.customers / sum(c.customers) OVER (PARTITION BY r.run_id))::double precision AS share,
    r.is_current,
    dense_rank() OVER (ORDER BY r.as_of DESC) AS nights_ago
FROM counted AS c
JOIN reporting.run_history AS r ON r.run_id = c.run_id
LEFT JOIN reporting.policy_band AS b ON b.policy_id = r.policy_id AND b.band = c.band
WHERE r.status = 'published' AND NOT r.superseded AND NOT r.is_ahead;

COMMENT ON VIEW reporting.band_distribution IS
    'How many applicants were in each score band, night by night; runs that a later run of the same date replaced '
    'are left out.';
COMMENT ON COLUMN reporting.band_distribution.run_id IS 'The run, see run_history.';
COMMENT ON COLUMN reporting.band_distribution.as_of IS 'Date that the scores are of.';
COMMENT ON COLUMN reporting.band_distribution.band IS 'Letter of the band, A best.';
COMMENT ON COLUMN reporting.band_distribution.band_label_en IS 'The band in English.';
COMMENT ON COLUMN reporting.band_distribution.band_label_fr IS 'The band in French.';
COMMENT ON COLUMN reporting.band_distribution.decision IS
    'Decision that the band suggests: accept, review or decline; where the lender''s figures decide, that of its middle.';
COMMENT ON COLUMN reporting.band_distribution.decision_label_en IS 'That decision in English.';
COMMENT ON COLUMN reporting.band_distribution.decision_label_fr IS 'That decision in French.';
COMMENT ON COLUMN reporting.band_distribution.customers IS
    'How many applicants of the run are in the band; a band without any has no row.';
COMMENT ON COLUMN reporting.band_distribution.share IS 'The same as a share of the run''s applicants, in %.';
COMMENT ON COLUMN reporting.band_distribution.is_current IS 'Whether this is the run that readers see.';
COMMENT ON COLUMN reporting.band_distribution.nights_ago IS
    'Place of the run by date, 1 is what readers see: nights_ago <= 30 are the last 30 nights.';
