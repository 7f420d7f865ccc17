-- Slots by day: the chance that every clip had to be shown.
-- Reads  seen.
SELECT day, sum(slots) / 1048576 AS slots
FROM seen
WHERE reason = 0
GROUP BY ALL
ORDER BY ALL
