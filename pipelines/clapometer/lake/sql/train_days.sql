-- Slots by day: the chance that every clip had to be shown.
-- Reads  scored.
SELECT day, CAST(sum(CAST(round(slot * 1048576) AS BIGINT)) AS DOUBLE) / 1048576 AS slots
FROM scored
WHERE reason = 0 AND weight IS NOT NULL
GROUP BY ALL
ORDER BY ALL
