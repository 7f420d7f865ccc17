-- Slots by surface and position: how often each was filled, and how often by chance.
-- Reads  scored. Sums are of whole units of 2^-20: exact, so that they do not depend on the order of the rows.
SELECT
    CAST(surface AS VARCHAR) AS surface, position,
    count(*) AS impressions,
    count(weight) AS logged,
    count(*) FILTER (explored) AS explored,
    count(*) FILTER (explored AND weight IS NOT NULL) AS explored_logged,
    coalesce(sum(round(slot * 1048576)) FILTER (weight IS NOT NULL), 0) / 1048576 AS slots
FROM scored
WHERE reason = 0
GROUP BY ALL
ORDER BY ALL
