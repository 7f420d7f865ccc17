-- Registrations that gave a clip another prompt or model version than it had by then.
CREATE VIEW clip_changes AS
SELECT
    tenant, clip_id, changed_at, received_at, source, before_prompt_id, prompt_id, before_model, model
FROM (
    SELECT
        tenant,
        clip_id,
        time AS changed_at,
        received_at,
        source,
        lag(prompt_id) OVER registrations AS before_prompt_id,
        prompt_id,
        lag(model_name || '@' || model_version) OVER registrations AS before_model,
        model_name || '@' || model_version AS model
    FROM (
        SELECT
            *,
            {sql:lake/sql/order_us.sql} AS order_us
        FROM files.other_events
        WHERE type = 'clip_registered'
        WINDOW clock AS (PARTITION BY tenant, clip_id, source)
    )
    WINDOW registrations AS (PARTITION BY tenant, clip_id ORDER BY order_us, received_at, source, id)
)
WHERE before_model IS NOT NULL AND (before_model <> model OR before_prompt_id IS DISTINCT FROM prompt_id);
COMMENT ON VIEW clip_changes IS 'Registrations that gave a clip another prompt or model version: all its impressions count for the latest.';
