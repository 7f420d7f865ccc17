-- One row per registered clip, as it was first registered; with when and why it was taken down, if it was.
-- Reads  events.
WITH RECURSIVE
registrations AS MATERIALIZED (
    SELECT DISTINCT ON (tenant, clip_id)
        tenant, clip_id, time AS registered_at,
        coalesce(prompt_id, prompt_hash, prompt_text) AS prompt, prompt_text,
        model_name || '@' || model_version AS model,
        template_id || coalesce('@' || template_version, '') AS template,
        task, lineage_scenario AS scenario, lineage_audience AS audience, duration_ms,
        lineage_creator_id AS creator_id, lineage_parent_clip_id AS parent_clip_id, content_hash,
        flags_repost_of AS repost_of, coalesce(flags_watermark, false) AS watermark, coalesce(flags_ad, false) AS ad,
        cost_amount, cost_currency, coalesce(training_allowed, false) AS training_allowed
    FROM events
    WHERE type = 'clip_registered'
    ORDER BY time, event_key, payload_hash, received_at
),
requests AS MATERIALIZED (
    SELECT DISTINCT tenant, clip_id, time AS withdrawn_at, reason, scope
    FROM events
    WHERE type = 'clip_withdrawn'
),
descent AS (
    SELECT tenant, clip_id, withdrawn_at, reason FROM requests WHERE scope = 'descendants'
    UNION
    SELECT r.tenant, r.clip_id, d.withdrawn_at, d.reason
    FROM descent d JOIN registrations r ON r.tenant = d.tenant AND r.parent_clip_id = d.clip_id
),
duplicates AS (
    SELECT copy.tenant, copy.clip_id, q.withdrawn_at, q.reason
    FROM requests q
        JOIN registrations taken USING (tenant, clip_id)
        JOIN registrations copy ON copy.tenant = taken.tenant AND copy.content_hash = taken.content_hash
    WHERE q.scope = 'duplicates'
    UNION
    SELECT copy.tenant, copy.clip_id, q.withdrawn_at, q.reason
    FROM requests q JOIN registrations copy ON copy.tenant = q.tenant AND copy.repost_of = q.clip_id
    WHERE q.scope = 'duplicates'
),
withdrawn AS (
    SELECT tenant, clip_id, min((withdrawn_at, reason)) AS first
    FROM (
        SELECT tenant, clip_id, withdrawn_at, reason FROM requests
        UNION ALL FROM descent
        UNION ALL FROM duplicates
    )
    GROUP BY ALL
)
SELECT r.*, w.first[1] AS withdrawn_at, w.first[2] AS withdrawn_reason
FROM registrations r LEFT JOIN withdrawn w USING (tenant, clip_id)
ORDER BY r.tenant, r.registered_at, r.clip_id
