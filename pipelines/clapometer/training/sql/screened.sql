-- The clips that do not count, or not as themselves, by row number, with the number of the reason.
-- Reads  registered. The first reason that applies is given.
SELECT
    clip,
    {sql:training/sql/clip_exclusion.sql} AS reason
FROM registered
WHERE reason IS NOT NULL
ORDER BY clip
