CREATE VIEW reporting.score_band AS
SELECT
    b.band,
    b.minimum_score,
    (COALESCE(lead(b.minimum_score) OVER (ORDER BY b.minimum_score), 101) - 1)::smallint AS maximum_score,
    b.decision,
    b.label_en,
    b.label_fr,
    b.decision_en,
    b.decision_fr
FROM credit.score_band AS b;

COMMENT ON VIEW reporting.score_band IS 'Score bands and the decision that each of them suggests.';
COMMENT ON COLUMN reporting.score_band.band IS 'Letter of the band, A best.';
COMMENT ON COLUMN reporting.score_band.minimum_score IS 'Lowest score of the band, 0 to 100.';
COMMENT ON COLUMN reporting.score_band.maximum_score IS 'Highest score of the band, 0 to 100.';
COMMENT ON COLUMN reporting.score_band.decision IS 'Suggested decision: accept, review or decline.';
COMMENT ON COLUMN reporting.score_band.label_en IS 'The band in English.';
COMMENT ON COLUMN reporting.score_band.label_fr IS 'The band in French.';
COMMENT ON COLUMN reporting.score_band.decision_en IS 'The suggested decision in English.';
COMMENT ON COLUMN reporting.score_band.decision_fr IS 'The suggested decision in French.';
