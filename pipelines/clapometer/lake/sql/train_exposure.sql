-- What was shown with which chance, by clip and viewer fold: do the logged propensities fit?
-- Reads  scored. Sums are of whole numbers, so that they do not depend on the order of the rows.
SELECT
    clip, fold,
    count(*) AS shown,
    sum(round(weight * 1048576)) / 1048576 AS weight,
    CAST(sum(CAST(round(weight * weight * 64) AS BIGINT)) AS DOUBLE) / 64 AS squares,
    count(*) FILTER (explored) AS explored
FROM scored
WHERE reason = 0 AND weight IS NOT NULL
GROUP BY ALL
ORDER BY ALL
