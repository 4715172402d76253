CREATE VIEW reporting.run_history AS
WITH newest AS (
    SELECT r.as_of, max(r.run_id) AS run_id
    FROM credit.scoring_run AS r
    WHERE r.status = 'published'
    GROUP BY r.as_of
)
SELECT
    r.run_id,
    r.as_of,
    r.status,
    COALESCE(r.run_id = (SELECT p.run_id FROM credit.published_run AS p), false) AS is_current,
    r.status = 'published' AND r.run_id < newest.run_id AS superseded,
    r.model_id,
    r.customers,
    r.rejected,
    r.unknown_categories,
    EXTRACT(epoch FROM COALESCE(r.published_at, r.finished_at) - r.started_at)::double precision AS seconds,
    r.stage_seconds,
    r.source_name,
    r.source_sha256,
    r.message,
    r.started_at,
    r.finished_at,
    r.published_at,
    r.status = 'published' AND r.retired_at IS NULL AS details_retained,
    CASE
        WHEN r.run_id = (SELECT p.run_id FROM credit.published_run AS p) THEN '✔ what readers see'
        WHEN r.status = 'published' AND r.run_id < newest.run_id THEN 'published, done again since'
        WHEN r.status = 'published' THEN 'published'
        WHEN r.status = 'refused' THEN '✖ input refused'
        WHEN r.status = 'failed' THEN '✖ failed'
        ELSE 'under way'
    END AS status_en,
    CASE
        WHEN r.run_id = (SELECT p.run_id FROM credit.published_run AS p) THEN '✔ ce que voient les lecteurs'
        WHEN r.status = 'published' AND r.run_id < newest.run_id THEN 'publiée, refaite depuis'
        WHEN r.status = 'published' THEN 'publiée'
        WHEN r.status = 'refused' THEN '✖ données refusées'
        WHEN r.status = 'failed' THEN '✖ échouée'
        ELSE 'en cours'
    END AS status_fr
FROM credit.scoring_run AS r
LEFT JOIN newest ON newest.as_of = r.as_of;

COMMENT ON VIEW reporting.run_history IS 'Every run that was ever opened, whatever became of it.';
COMMENT ON COLUMN reporting.run_history.run_id IS 'Number of the run; later runs have higher numbers.';
COMMENT ON COLUMN reporting.run_history.as_of IS 'Date that the scores are of.';
COMMENT ON COLUMN reporting.run_history.status IS
    'running, published, refused (its input was not good enough) or failed (anything else).';
COMMENT ON COLUMN reporting.run_history.is_current IS 'Whether this is the run that readers see.';
COMMENT ON COLUMN reporting.run_history.superseded IS 'Whether a later published run is of the same date.';
COMMENT ON COLUMN reporting.run_history.model_id IS 'Model that the run used, see model_card.';
COMMENT ON COLUMN reporting.run_history.customers IS
    'How many customers were scored; empty if the run was not published.';
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
COMMENT ON COLUMN reporting.run_history.message IS 'Why the run was refused or failed.';
COMMENT ON COLUMN reporting.run_history.started_at IS 'When the run was opened.';
COMMENT ON COLUMN reporting.run_history.finished_at IS 'When the run ended, however it ended.';
COMMENT ON COLUMN reporting.run_history.published_at IS 'When readers could see the run; empty if never.';
COMMENT ON COLUMN reporting.run_history.details_retained IS
    'Whether applications and explanations of the run are still kept; scores are kept for ever.';
COMMENT ON COLUMN reporting.run_history.status_en IS 'What became of the run, in words in English, with a sign.';
COMMENT ON COLUMN reporting.run_history.status_fr IS 'What became of the run, in words in French, with a sign.';
