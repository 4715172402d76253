CREATE VIEW reporting.decision_flip AS
SELECT DISTINCT ON (p.customer_id)
    p.customer_id,
    p.previous_decision,
    p.decision,
    earlier.label_en AS previous_decision_en,
    d.label_en AS decision_en,
    earlier.label_fr AS previous_decision_fr,
    d.label_fr AS decision_fr,
    p.previous_score,
    p.score,
    p.kind,
    p.sentence_en,
    p.sentence_fr,
    p.points_change,
    p.feature,
    p.previous_run_id,
    p.run_id,
    p.previous_as_of,
    p.as_of
FROM reporting.score_change_part AS p
LEFT JOIN credit.suggested_decision AS d ON d.decision = p.decision
LEFT JOIN credit.suggested_decision AS earlier ON earlier.decision = p.previous_decision
WHERE p.decision <> p.previous_decision
-- What pushed the score the way it went, the strongest first; other limits need no push.
ORDER BY p.customer_id, p.kind = 'limits' DESC, p.points_change * (p.score - p.previous_score) > 0 DESC,
    abs(p.points_change) DESC, p.ord;

COMMENT ON VIEW reporting.decision_flip IS
    'The applicants for whom the published run suggests another decision than the run published before, with what led '
    'to it; score_change_part has all of it.';
COMMENT ON COLUMN reporting.decision_flip.customer_id IS 'Application number.';
COMMENT ON COLUMN reporting.decision_flip.previous_decision IS
    'Decision suggested by the run before: accept, review or decline.';
COMMENT ON COLUMN reporting.decision_flip.decision IS
    'Decision suggested by the published run: accept, review or decline.';
COMMENT ON COLUMN reporting.decision_flip.previous_decision_en IS 'The decision of the run before in English.';
COMMENT ON COLUMN reporting.decision_flip.decision_en IS 'The decision of the published run in English.';
COMMENT ON COLUMN reporting.decision_flip.previous_decision_fr IS 'The decision of the run before in French.';
COMMENT ON COLUMN reporting.decision_flip.decision_fr IS 'The decision of the published run in French.';
COMMENT ON COLUMN reporting.decision_flip.previous_score IS 'Score in the run before.';
COMMENT ON COLUMN reporting.decision_flip.score IS 'Score in the published run, 0 (worst) to 100 (best).';
COMMENT ON COLUMN reporting.decision_flip.kind IS
    'Kind of what led to it: total, direct, interaction, model or limits, see score_change_part.';
COMMENT ON COLUMN reporting.decision_flip.sentence_en IS
    'What led to it, in one sentence in English: of all that pushed the score this way, the strongest.';
COMMENT ON COLUMN reporting.decision_flip.sentence_fr IS
    'What led to it, in one sentence in French: of all that pushed the score this way, the strongest.';
COMMENT ON COLUMN reporting.decision_flip.points_change IS
    'By how many points that moved the score; positive raised it.';
COMMENT ON COLUMN reporting.decision_flip.feature IS
    'The changed column of the file that leads it, see feature; empty where no fact is told.';
COMMENT ON COLUMN reporting.decision_flip.previous_run_id IS
    'Newest run of the last date before this one whose details are still kept.';
COMMENT ON COLUMN reporting.decision_flip.run_id IS 'The published run.';
COMMENT ON COLUMN reporting.decision_flip.previous_as_of IS 'Date of the run that this one is compared with.';
COMMENT ON COLUMN reporting.decision_flip.as_of IS 'Date of the published run.';
