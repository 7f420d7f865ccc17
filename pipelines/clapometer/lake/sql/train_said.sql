-- What people said about two clips: votes on two impressions, and creators' choices among clips they were shown.
-- Reads  events, outcomes, registered. One row per comparison: result is 1 (left), 0 (right) or 0.5 (tie).
WITH
votes AS (
    SELECT DISTINCT ON (source, id, trust = 'key') left_impression_id, right_impression_id, result
    FROM events
    -- both bad says nothing about which is better
    WHERE type = 'voted' AND tenant = $tenant AND result IN ('left', 'right', 'tie')
    ORDER BY source, id, trust = 'key', left_impression_id, right_impression_id, result
),
quoted AS (
    SELECT left_impression_id AS impression_id FROM votes
    UNION
    SELECT right_impression_id FROM votes
),
shown AS (
    SELECT o.impression_id, o.clip_id
    FROM outcomes o SEMI JOIN quoted USING (impression_id)
    WHERE o.tenant = $tenant AND o.trust IN ('key', 'token')
),
choices AS (
    SELECT DISTINCT ON (source, id)
        chosen_clip_id, CAST(CAST(shown_clip_ids AS JSON) AS VARCHAR[]) AS shown_clip_ids
    FROM events
    WHERE type = 'creator_acted' AND tenant = $tenant AND action IN ('accepted', 'published', 'downloaded')
        AND chosen_clip_id IS NOT NULL AND shown_clip_ids IS NOT NULL
    ORDER BY source, id, chosen_clip_id, shown_clip_ids
),
said AS (
    SELECT
        l.clip_id AS left_clip_id, r.clip_id AS right_clip_id, 'vote' AS evidence,
        CASE result WHEN 'left' THEN 1.0 WHEN 'right' THEN 0.0 ELSE 0.5 END AS result
    FROM votes
        JOIN shown l ON l.impression_id = votes.left_impression_id
        JOIN shown r ON r.impression_id = votes.right_impression_id
    UNION ALL
    -- a creator who downloads and publishes the same clip has chosen it once
    SELECT DISTINCT chosen_clip_id, other, 'creator', 1.0
    FROM (SELECT chosen_clip_id, unnest(shown_clip_ids) AS other FROM choices)
)
SELECT l.clip AS left_clip, r.clip AS right_clip, CAST(s.result AS DOUBLE) AS result, s.evidence
FROM said s
    JOIN registered l ON l.clip_id = s.left_clip_id
    JOIN registered r ON r.clip_id = s.right_clip_id
WHERE l.clip != r.clip
ORDER BY ALL
