-- The clips as the outcomes are joined with them: narrow, and with what excludes all outcomes of a clip.
-- Reads  registered. Reasons are numbered as in clapometer.jobs.statistics.REASONS.
SELECT
    clip_id, clip, CAST(duration_ms AS DOUBLE) AS duration_ms, duration_bin, creator_id,
    CAST(CASE
        WHEN withdrawn_at IS NOT NULL THEN 3
        WHEN ad AND $drop_ads THEN 4
        WHEN watermark AND $drop_watermarks THEN 5
        WHEN is_repost AND $drop_reposts THEN 6
        ELSE 0
    END AS UTINYINT) AS reason
FROM registered
