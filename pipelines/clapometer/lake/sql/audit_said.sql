-- What creators and voters thought of the clips in the first and the second half of the traffic.
-- Reads  events, outcomes. One row per question and half: how often it was answered, and how often badly.
-- Parameters  tenant; days: those that are no part of the run.
WITH said AS (
    SELECT 'votes that both clips are bad' AS signal, time, result = 'both_bad' AS bad
    FROM events
    WHERE tenant = $tenant AND type = 'voted'
    UNION ALL
    SELECT 're-rolls by creators', time, action = 'rerolled'
    FROM events
    WHERE tenant = $tenant AND type = 'creator_acted' AND action IN ('accepted', 'published', 'downloaded', 'rerolled')
),
people AS (
    SELECT shown_date
    FROM outcomes
    WHERE tenant = $tenant AND trust IN ('key', 'token') AND shown_date NOT IN (SELECT unnest($days::DATE[]))
),
middle AS (
    {sql:audit_middle}
)
SELECT signal, CAST(time AS DATE) >= middle.day AS late, count(*) AS answers, count(*) FILTER (bad) AS bad
FROM said, middle
GROUP BY ALL
ORDER BY ALL
