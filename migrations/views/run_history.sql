-- Of several published runs of one date, one counts: the run that readers see if it is among them, else the latest.
CREATE VIEW reporting.run_history AS
WITH seen AS (
    SELECT r.run_id, r.as_of
    FROM credit.published_run AS p
    JOIN credit.scoring_run AS r ON r.run_id = p.run_id
),
counting AS (
    SELECT
        r.as_of,
        COALESCE((SELECT s.run_id FROM seen AS s WHERE s.as_of = r.as_of), max(r.run_id)) AS run_id,
        COALESCE(r.as_of > (SELECT s.as_of FROM seen AS s), false) AS is_ahead
    FROM credit.scoring_run AS r
    WHERE r.status = 'published'
    GROUP BY r.as_of
)
SELECT
    r.run_id,
    r.as_of,
    r.status,
    COALESCE(r.run_id = (SELECT s.run_id FROM seen AS s), false) AS is_current,
    r.status = 'published' AND r.run_id <> counting.run_id AS superseded,
    r.model_id,
    r.customers,
    r.rejected,
    r.unknown_categories,
    EXTRACT(epoch FROM COALESCE(r.published_at, r.finished_at) - r.started_at)::double precision AS seconds,
    r.stage_seconds,
    r.source_name,
    r.source_sha256,
    COALESCE(w.reason, r.message) AS message,
    r.started_at,
    r.finished_at,
    r.published_at,
    r.status = 'published' AND r.retired_at IS NULL AS details_retained,
    CASE
        WHEN r.run_id = (SELECT s.run_id FROM seen AS s) THEN '✔ what readers see'
        WHEN r.status = 'published' AND r.run_id < counting.run_id THEN 'published, done again since'
        WHEN r.status = 'published' AND r.run_id > counting.run_id THEN 'published, readers were moved back'
        WHEN r.status = 'published' AND counting.is_ahead THEN 'published, later than what readers see'
        WHEN r.status = 'published' THEN 'published'
        WHEN r.status = 'refused' THEN '✖ input refused'
        WHEN r.status = 'failed' THEN '✖ failed'
        WHEN r.status = 'withdrawn' THEN '✖ withdrawn'
        ELSE 'under way'
    END AS status_en,
    CASE
        WHEN r.run_id = (SELECT s.run_id FROM seen AS s) THEN '✔ ce que voient les lecteurs'
        WHEN r.status = 'published' AND r.run_id < counting.run_id THEN 'publiée, refaite depuis'
        WHEN r.status = 'published' AND r.run_id > counting.run_id THEN 'publiée, lecteurs ramenés en arrière'
        WHEN r.status = 'published' AND counting.is_ahead THEN 'publiée, plus récente que ce que voient les lecteurs'
        WHEN r.status = 'published' THEN 'publiée'
        WHEN r.status = 'refused' THEN '✖ données refusées'
        WHEN r.status = 'failed' THEN '✖ échouée'
        WHEN r.status = 'withdrawn' THEN '✖ retirée'
        ELSE 'en cours'
    END AS status_fr,
    r.status = 'published' AND counting.is_ahead AS is_ahead,
    w.withdrawn_at,
    w.withdrawn_by,
    r.policy_id
FROM credit.scoring_run AS r
LEFT JOIN counting ON counting.as_of = r.as_of
LEFT JOIN credit.run_withdrawal AS w ON w.run_id = r.run_id;

COMMENT ON VIEW reporting.run_history IS 'Every run that was ever opened, whatever became of it.';
COMMENT ON COLUMN reporting.run_history.run_id IS 'Number of the run; later runs have higher numbers.';
COMMENT ON COLUMN reporting.run_history.as_of IS 'Date that the scores are of.';
COMMENT ON COLUMN reporting.run_history.status IS
    'running, published, refused (its input was not good enough), failed (anything else) or withdrawn (published, '
    'and nobody is to read it any more).';
COMMENT ON COLUMN reporting.run_history.is_current IS 'Whether this is the run that readers see.';
COMMENT ON COLUMN reporting.run_history.superseded IS
    'Whether another published run of the same date counts: the one that readers see, else the latest.';
COMMENT ON COLUMN reporting.run_history.model_id IS 'Model that the run used, see model_card.';
COMMENT ON COLUMN reporting.run_history.customers IS
    'How many customers were scored; also of a run that was refused, as far as it came.';
COMMENT ON COLUMN reporting.run_history.rejected IS 'How many rows of the file were rejected, see rejected_row.';
COMMENT ON COLUMN reporting.run_history.unknown_categories IS
    'How many category values were not in the dictionary, counted once per customer and column, see '
    'unknown_category.';
COMMENT ON COLUMN reporting.run_history.seconds IS
    'Seconds from opening to publication, or to its end if the run was not published; empty while it runs.';
COMMENT ON COLUMN reporting.run_history.stage_seconds IS
    'Busy seconds by stage (JSON); stages overlap, so their sum may exceed the seconds of the run.';
COMMENT ON COLUMN reporting.run_history.source_name IS 'Name of the file that was scored.';
COMMENT ON COLUMN reporting.run_history.source_sha256 IS 'SHA-256 of that file.';
COMMENT ON COLUMN reporting.run_history.message IS 'Why the run was refused, failed or was withdrawn.';
COMMENT ON COLUMN reporting.run_history.started_at IS 'When the run was opened.';
COMMENT ON COLUMN reporting.run_history.finished_at IS 'When the run ended, however it ended.';
COMMENT ON COLUMN reporting.run_history.published_at IS 'When readers could see the run; empty if never.';
COMMENT ON COLUMN reporting.run_history.details_retained IS
    'Whether applications and explanations of the run are still kept; scores are kept for ever.';
COMMENT ON COLUMN reporting.run_history.status_en IS 'What became of the run, in words in English, with a sign.';
COMMENT ON COLUMN reporting.run_history.status_fr IS 'What became of the run, in words in French, with a sign.';
COMMENT ON COLUMN reporting.run_history.is_ahead IS
    'Whether the run is of a later date than the one that readers see: no trend and no history shows it.';
COMMENT ON COLUMN reporting.run_history.withdrawn_at IS 'When the run was withdrawn; empty if it was not.';
COMMENT ON COLUMN reporting.run_history.withdrawn_by IS 'Who withdrew the run; empty if nobody did.';
COMMENT ON COLUMN reporting.run_history.policy_id IS 'Policy that the run was decided by, see policy.';
