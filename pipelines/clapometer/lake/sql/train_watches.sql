-- How long clips of each length are watched, counted as if all had been shown alike as far as that is known.
-- Reads  scored. One row per value of `watch`.
SELECT watch, sum(round(least(coalesce(weight, 1), 10) * 1048576)) / 1048576 AS weight
FROM scored
WHERE reason = 0
GROUP BY ALL
ORDER BY ALL
