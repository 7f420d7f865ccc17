-- What people said about two clips: votes on two impressions, and creators' choices among clips they were shown.
-- Reads  events, outcomes, registered, and automated: viewers that are no people.
-- One row per comparison, the latest first: result is 1 (left), 0 (right), 0.5 (tie), or NULL (both are bad); voter is
-- who said it, and aside why it does not count, NULL where it does. A vote is worth what its impressions are: both have
-- to be vouched for, and of one viewer, who is then the voter.
-- Parameters  tenant.
WITH
votes AS (
    SELECT DISTINCT ON (source, id, trust = 'key')
        source, id, time, client_time, received_at, trust, left_impression_id, right_impression_id, result
    FROM events
    WHERE type = 'voted' AND tenant = $tenant
    ORDER BY source, id, trust = 'key', left_impression_id, right_impression_id, result
),
quoted AS (
    SELECT left_impression_id AS impression_id FROM votes
    UNION
    SELECT right_impression_id FROM votes
),
shown AS (
    SELECT o.impression_id, o.clip_id, o.viewer_id
    FROM outcomes o SEMI JOIN quoted USING (impression_id)
    WHERE o.tenant = $tenant AND o.trust IN {vouched}
),
cast_votes AS (
    SELECT
        votes.time, votes.client_time, votes.received_at, votes.source, votes.id,
        l.clip_id AS left_clip_id, r.clip_id AS right_clip_id, 'vote' AS evidence, 'viewer ' || l.viewer_id AS voter, votes.result,
        CASE
            WHEN votes.trust = 'unvouched' THEN 'vote that does not quote the tokens of its impressions'
            WHEN l.clip_id IS NULL OR r.clip_id IS NULL THEN 'vote on an untrusted impression'
            WHEN l.viewer_id <> r.viewer_id THEN 'vote on impressions of two viewers'
            WHEN l.viewer_id IN (FROM (SELECT viewer_id FROM automated)) THEN 'vote of a viewer that is no person'
        END AS aside,
        l.viewer_id
    FROM votes
        LEFT JOIN shown l ON l.impression_id = votes.left_impression_id
        LEFT JOIN shown r ON r.impression_id = votes.right_impression_id
),
choices AS (
    SELECT DISTINCT ON (source, id)
        source, id, time, client_time, received_at, chosen_clip_id,
        CAST(CAST(shown_clip_ids AS JSON) AS VARCHAR[]) AS shown_clip_ids, coalesce(prompt_id, batch_id) AS about
    FROM events
    WHERE type = 'creator_acted' AND tenant = $tenant AND action IN ('accepted', 'published', 'downloaded')
        AND chosen_clip_id IS NOT NULL AND shown_clip_ids IS NOT NULL
    ORDER BY source, id, chosen_clip_id, shown_clip_ids
),
said AS (
    SELECT * FROM cast_votes
    UNION ALL
    SELECT
        time, client_time, received_at, source, id, chosen_clip_id, other, 'creator',
        -- whoever made the clip chose it; where nobody says who that is, every prompt has a creator of its own
        coalesce('creator ' || c.creator_id, 'prompt ' || about), 'left', NULL, NULL
    FROM (SELECT * EXCLUDE (shown_clip_ids), unnest(shown_clip_ids) AS other FROM choices) AS chosen
        LEFT JOIN registered AS c ON c.clip_id = chosen.chosen_clip_id
)
SELECT
    l.clip AS left_clip, r.clip AS right_clip, s.evidence, s.voter,
    CASE s.result WHEN 'left' THEN 1.0 WHEN 'right' THEN 0.0 WHEN 'tie' THEN 0.5 END AS result,
    CASE
        WHEN s.aside IS NOT NULL THEN s.aside
        WHEN l.clip IS NULL OR r.clip IS NULL THEN 'vote on a clip that is not registered'
        WHEN s.viewer_id IN (l.creator_id, r.creator_id) THEN 'vote of the creator of a clip'
    END AS aside
FROM (
    SELECT
        *,
        {sql:lake/sql/order_us.sql} AS order_us
    FROM said
    WINDOW clock AS (PARTITION BY source, voter)
) AS s
    LEFT JOIN registered l ON l.clip_id = s.left_clip_id
    LEFT JOIN registered r ON r.clip_id = s.right_clip_id
WHERE s.evidence = 'vote' OR s.left_clip_id <> s.right_clip_id  -- a chosen clip is among those that were shown
ORDER BY s.order_us DESC, s.received_at DESC, s.source DESC, s.id DESC, s.left_clip_id, s.right_clip_id
