-- The clips that do not count, or not as themselves, by row number, with the number of the reason.
-- Reads  registered. Reasons are numbered as in evidence.screening.REASONS; the first that applies is given.
SELECT clip, CASE
    WHEN withdrawn_at IS NOT NULL THEN 3
    WHEN ad AND $drop_ads THEN 4
    WHEN watermark AND $drop_watermarks THEN 5
    WHEN is_repost THEN 6
END AS reason
FROM registered
WHERE reason IS NOT NULL
ORDER BY clip
