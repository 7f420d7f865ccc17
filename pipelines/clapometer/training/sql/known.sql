-- The clips by row number, with the number of what excludes all their outcomes; 0 where nothing does.
-- Reads  registered. Reasons are numbered as in evidence.screening.REASONS; the first that applies is given.
SELECT
    clip,
    CAST(CASE
        WHEN withdrawn_at IS NOT NULL THEN 3
        WHEN ad AND $drop_ads THEN 4
        WHEN watermark AND $drop_watermarks THEN 5
        WHEN is_repost AND $drop_reposts THEN 6
        ELSE 0
    END AS UTINYINT) AS reason
FROM registered
ORDER BY clip
