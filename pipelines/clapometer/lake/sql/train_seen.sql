-- Slots by day, surface and position, and why their outcomes do not count: all that is counted without a label.
-- Reads  scored. Sums are of whole units of 2^-20: exact, so that they do not depend on the order of the rows.
SELECT
    reason, day, place,
    count(*) AS impressions,
    count(weight) AS logged,
    count(*) FILTER (explored) AS explored,
    count(*) FILTER (explored AND weight IS NOT NULL) AS explored_logged,
    coalesce(sum(round(slot * 1048576)) FILTER (weight IS NOT NULL), 0) AS slots
FROM scored
GROUP BY ALL
