-- What slates need to know of clips: those named, or those registered since a time, or the newest n; oldest first.
-- Items are named as train_clips names them.
-- Parameters  tenant, only (list of clip ids or NULL), since (may be NULL), n.
SELECT clip_id, model, prompt, template, received_at
FROM (
    SELECT
        clip_id,
        {sql:lake/sql/order_us.sql} AS order_us,
        received_at,
        model_name || '@' || model_version AS model,
        coalesce(prompt_id, prompt_hash, prompt_text) AS prompt,
        template_id || coalesce('@' || template_version, '') AS template
    FROM events
    WHERE type = 'clip_registered'
        AND tenant = $tenant
        AND ($only::VARCHAR[] IS NULL OR list_contains($only::VARCHAR[], clip_id))
        AND ($since::TIMESTAMPTZ IS NULL
            OR (received_at >= $since::TIMESTAMPTZ AND received_date >= ($since::TIMESTAMPTZ AT TIME ZONE 'UTC')::DATE))
    WINDOW clock AS (PARTITION BY clip_id, source)
    ORDER BY received_at DESC, clip_id
    LIMIT $n
)
ORDER BY order_us, received_at, clip_id
