-- The clips by row number, with the number of what excludes all their outcomes; 0 where nothing does.
-- Reads  registered. The first reason that applies is given.
SELECT
    clip,
    CAST(coalesce(
        {sql:training/sql/clip_exclusion.sql}, 0
    ) AS UTINYINT) AS reason
FROM registered
ORDER BY clip
