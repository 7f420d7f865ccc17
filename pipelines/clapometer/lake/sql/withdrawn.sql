-- The clips that were taken down, by name or by what a withdrawal reaches, with when first and why.
WITH requests AS NOT MATERIALIZED (
    SELECT tenant, clip_id, time AS withdrawn_at, reason, scope
    FROM files.other_events
    WHERE type = 'clip_withdrawn'
)
SELECT tenant, clip_id, min(withdrawn_at) AS withdrawn_at, arg_min(reason, (withdrawn_at, reason)) AS reason
FROM (
    {sql:lake/sql/reached.sql}
)
GROUP BY ALL
