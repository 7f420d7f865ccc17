-- One row per registered clip, as it was first registered; with when and why it was taken down, if it was.
-- Reads  events. {duration_bin}: the length bin of the watch quantiles.
WITH RECURSIVE
registrations AS MATERIALIZED (
    -- a clip that is registered again is corrected, and was there from the first time on, as in the view clips
    SELECT DISTINCT ON (clip_id)
        clip_id, min(time) OVER (PARTITION BY clip_id) AS registered_at,
        coalesce(prompt_id, prompt_hash, prompt_text) AS prompt, prompt_text,
        model_name || '@' || model_version AS model,
        template_id || coalesce('@' || template_version, '') AS template,
        task, lineage_scenario AS scenario, duration_ms,
        lineage_creator_id AS creator_id, lineage_parent_clip_id AS parent_clip_id, content_hash,
        flags_repost_of AS repost_of, coalesce(flags_watermark, false) AS watermark, coalesce(flags_ad, false) AS ad,
        cost_amount, cost_currency, coalesce(training_allowed, false) AS training_allowed
    FROM events
    WHERE type = 'clip_registered' AND tenant = $tenant
    ORDER BY time DESC, received_at DESC, source DESC, id DESC
),
requests AS MATERIALIZED (
    SELECT DISTINCT clip_id, time AS withdrawn_at, reason, scope
    FROM events
    WHERE type = 'clip_withdrawn' AND tenant = $tenant
),
descent AS (
    SELECT clip_id, withdrawn_at, reason FROM requests WHERE scope = 'descendants'
    UNION
    SELECT r.clip_id, d.withdrawn_at, d.reason
    FROM descent d JOIN registrations r ON r.parent_clip_id = d.clip_id
),
duplicates AS (
    SELECT copy.clip_id, q.withdrawn_at, q.reason
    FROM requests q
        JOIN registrations taken USING (clip_id)
        JOIN registrations copy ON copy.content_hash = taken.content_hash
    WHERE q.scope = 'duplicates'
    UNION
    SELECT copy.clip_id, q.withdrawn_at, q.reason
    FROM requests q JOIN registrations copy ON copy.repost_of = q.clip_id
    WHERE q.scope = 'duplicates'
),
withdrawn AS (
    SELECT clip_id, min((withdrawn_at, reason)) AS first
    FROM (
        SELECT clip_id, withdrawn_at, reason FROM requests
        UNION ALL FROM descent
        UNION ALL FROM duplicates
    )
    GROUP BY ALL
)
SELECT
    CAST(row_number() OVER (ORDER BY r.registered_at, r.clip_id) - 1 AS INTEGER) AS clip, r.*,
    CAST({duration_bin} AS INTEGER) AS duration_bin, false AS is_repost,
    w.first[1] AS withdrawn_at, w.first[2] AS withdrawn_reason
FROM registrations r LEFT JOIN withdrawn w USING (clip_id)
ORDER BY clip
