-- One row per registered clip, as it was first registered; with when and why it was taken down, if it was.
-- Reads  events. {duration_bin}: the length bin of the watch quantiles.
WITH
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
    FROM (
        SELECT
            *,
            {sql:lake/sql/order_us.sql} AS order_us
        FROM events
        WHERE type = 'clip_registered' AND tenant = $tenant
        WINDOW clock AS (PARTITION BY clip_id, source)
    )
    ORDER BY order_us DESC, received_at DESC, source DESC, id DESC
),
withdrawn AS MATERIALIZED (
    SELECT clip_id, withdrawn_at, reason AS withdrawn_reason
    FROM (
        {sql:lake/sql/withdrawn.sql}
    )
    WHERE tenant = $tenant
)
SELECT
    CAST(row_number() OVER (ORDER BY r.registered_at, r.clip_id) - 1 AS INTEGER) AS clip, r.*,
    CAST({duration_bin} AS INTEGER) AS duration_bin, false AS is_repost,
    w.withdrawn_at, w.withdrawn_reason
FROM registrations r LEFT JOIN withdrawn w USING (clip_id)
ORDER BY clip
