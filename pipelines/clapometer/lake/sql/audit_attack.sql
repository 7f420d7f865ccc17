-- Outcomes that made-up viewers would add: slots as they really are filled, each answered so that one model version gains.
-- Reads  outcomes, registered, automated. One row per made-up impression, with the columns of outcomes.
-- Parameters  tenant, viewers, each: impressions of each of them; rival: the model version that is to gain; leader: that is
-- to lose; chosen: whether they show what clips they like; trust: of their impressions; day: when.
--
-- They mimic people: of the rival's clips they watch all and praise four in five, of the leader's they leave soon, and of
-- all others they watch half.
WITH slots AS (
    SELECT
        o.*, r.model, coalesce(r.duration_ms, 10000) AS length,
        row_number() OVER (ORDER BY hash(o.impression_id), o.impression_id) - 1 AS n
    FROM outcomes o
        JOIN registered r USING (clip_id)
        ANTI JOIN automated a ON a.viewer_id = o.viewer_id
    WHERE o.tenant = $tenant AND o.trust IN ('key', 'token') AND r.withdrawn_at IS NULL
),
targets AS (
    SELECT list({'clip_id': clip_id, 'length': coalesce(duration_ms, 10000)} ORDER BY clip) AS clips
    FROM registered
    WHERE model = $rival AND withdrawn_at IS NULL
),
made AS (
    SELECT
        s.* EXCLUDE (n, model, length, clip_id, propensity, explored), i,
        CASE WHEN $chosen THEN clips[CAST(1 + hash(i) % len(clips) AS BIGINT)].clip_id ELSE s.clip_id END AS clip_id,
        CASE WHEN $chosen THEN clips[CAST(1 + hash(i) % len(clips) AS BIGINT)].length ELSE length END AS length,
        CASE WHEN $chosen THEN 1 / s.candidates ELSE s.propensity END AS propensity,
        s.explored AND NOT $chosen AS explored,
        $chosen OR model = $rival AS helps, model = $leader AS hurts
    FROM range($viewers::BIGINT * $each::BIGINT) AS made(i)
        JOIN slots s ON s.n = i % (SELECT count(*) FROM slots)
        CROSS JOIN targets
)
SELECT
    * EXCLUDE (i, helps, hurts, length, shown_date) REPLACE (
        'made up ' || i AS impression_id, 'made up ' || i // $each AS viewer_id, NULL AS session_id, $trust AS trust,
        $day::DATE + to_minutes(CAST(60 * 8 + i % $each AS BIGINT)) AS shown_at,
        CAST(CASE WHEN helps THEN length WHEN hurts THEN least(1600, length) ELSE length / 2 END AS BIGINT) AS watched_ms,
        CAST(NULL AS BIGINT) AS total_ms, helps AND hash(i, 1) % 5 > 0 AS liked, false AS saved, false AS shared,
        false AS commented, false AS followed, false AS disliked, false AS hidden, false AS not_interested,
        false AS reported, false AS clicked, false AS visual_searched, false AS carted, false AS purchased,
        CAST(NULL AS DOUBLE) AS revenue, CAST(NULL AS VARCHAR) AS currency
    )
FROM made
ORDER BY clip_id, i
