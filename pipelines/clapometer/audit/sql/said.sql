-- What creators and voters thought of the clips in the first and the second half of the traffic.
-- Reads  events, outcomes, automated.
-- Parameters  tenant; days: those that are no part of the run; most: answers of one viewer.
-- One row per question and half: how often it was answered, and how often badly.
WITH vouched AS (
    SELECT impression_id, clip_id, viewer_id
    FROM outcomes ANTI JOIN automated USING (viewer_id)
    WHERE tenant = $tenant AND trust IN {vouched}
),
heard AS (
    -- of each viewer and pair the latest vote, on impressions that are vouched for
    SELECT DISTINCT ON (voter, pair)
        l.viewer_id AS voter, least(l.clip_id, r.clip_id) || ' ' || greatest(l.clip_id, r.clip_id) AS pair,
        votes.time, votes.result
    FROM events AS votes
        JOIN vouched AS l ON l.impression_id = votes.left_impression_id
        JOIN vouched AS r ON r.impression_id = votes.right_impression_id AND r.viewer_id = l.viewer_id
    WHERE votes.tenant = $tenant AND votes.type = 'voted' AND votes.trust <> 'unvouched'
    ORDER BY voter, pair, votes.time DESC, votes.received_at DESC, votes.source DESC, votes.id DESC
),
said AS (
    SELECT 'votes that both clips are bad' AS signal, time, result = 'both_bad' AS bad
    FROM heard
    -- nobody is a crowd
    QUALIFY row_number() OVER (PARTITION BY voter ORDER BY time, pair) <= $most
    UNION ALL
    SELECT 're-rolls by creators', time, action = 'rerolled'
    FROM events
    WHERE tenant = $tenant AND type = 'creator_acted' AND action IN ('accepted', 'published', 'downloaded', 'rerolled')
),
people AS (
    SELECT shown_date
    FROM outcomes
    WHERE tenant = $tenant AND trust IN {vouched} AND shown_date NOT IN (SELECT unnest($days::DATE[]))
),
middle AS (
    {sql:audit/sql/middle.sql}
)
SELECT signal, CAST(time AS DATE) >= middle.day AS late, count(*) AS answers, count(*) FILTER (bad) AS bad
FROM said, middle
GROUP BY ALL
ORDER BY ALL
