-- The latest registration of each clip, and whether it was taken down since.
CREATE VIEW clips AS
WITH registered AS (
    SELECT
        *,
        row_number() OVER (
            PARTITION BY tenant, clip_id
            ORDER BY order_us DESC, received_at DESC, source DESC, id DESC
        ) AS newest
    FROM (
        SELECT
            *,
            {sql:lake/sql/order_us.sql} AS order_us
        FROM files.other_events
        WHERE type = 'clip_registered'
        WINDOW clock AS (PARTITION BY tenant, clip_id, source)
    )
),
withdrawn AS (
    SELECT unnest(found, max_depth := 2)
    FROM (SELECT list(taken) AS found FROM (
        {sql:lake/sql/withdrawn.sql}
    ) AS taken)
)
SELECT
    registered.tenant,
    registered.clip_id,
    registered.time AS registered_at,
    registered.prompt_id,
    prompt_text,
    prompt_negative,
    prompt_lang,
    model_name,
    model_version,
    duration_ms,
    task,
    template_id,
    template_version,
    template_vars,
    seed,
    params,
    "references",
    lineage_parent_clip_id,
    lineage_relation,
    lineage_batch_id,
    lineage_product_id,
    lineage_campaign_id,
    lineage_series_id,
    lineage_episode,
    lineage_audience,
    lineage_scenario,
    lineage_creator_id,
    cost_gpu_seconds,
    cost_amount,
    cost_currency,
    cost_queue_ms,
    content_hash,
    coalesce(flags_watermark, false) AS watermark,
    coalesce(flags_ad, false) AS ad,
    flags_repost_of AS repost_of,
    provenance_manifest_id,
    coalesce(training_allowed, false) AS training_allowed,
    withdrawn.clip_id IS NOT NULL AS withdrawn,
    withdrawn_at,
    -- named as the rankings name them
    model_name || '@' || model_version AS model,
    template_id || coalesce('@' || template_version, '') AS template
FROM registered
LEFT JOIN withdrawn ON withdrawn.tenant = registered.tenant AND withdrawn.clip_id = registered.clip_id
WHERE newest = 1;
COMMENT ON VIEW clips IS 'One row per clip: its latest registration, and whether it was withdrawn.';
COMMENT ON COLUMN clips.prompt_id IS 'The prompt''s hash as registered, or the MD5 of its text and negative text.';
COMMENT ON COLUMN clips.withdrawn IS 'True once the clip was taken down, by itself or by the scope of another''s withdrawal.';
