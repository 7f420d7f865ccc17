-- Slots by day: the chance that every clip had to be shown.
-- Reads  scored.
SELECT day, sum(round(slot * 1048576)) / 1048576 AS slots
FROM scored
WHERE reason = 0 AND weight IS NOT NULL
GROUP BY ALL
ORDER BY ALL
