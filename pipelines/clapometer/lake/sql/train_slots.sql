-- Slots by surface and position: how often each was filled, and how often by chance.
-- Reads  seen.
SELECT
    place,
    CAST(sum(impressions) AS BIGINT) AS impressions,
    CAST(sum(logged) AS BIGINT) AS logged,
    CAST(sum(explored) AS BIGINT) AS explored,
    CAST(sum(explored_logged) AS BIGINT) AS explored_logged,
    sum(slots) / 1048576 AS slots
FROM seen
WHERE reason = 0
GROUP BY ALL
ORDER BY ALL
