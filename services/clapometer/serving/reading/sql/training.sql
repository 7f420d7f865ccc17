-- How training is doing over all tenants, none of whom is named: when the newest good run began (seconds since 1970),
-- how long it took, and for how many tenants the last run failed.
WITH last AS (
    SELECT tenant, arg_max(status, coalesce(finished_at, started_at)) AS status FROM runs GROUP BY tenant
)

SELECT
    epoch(max(started_at) FILTER (status = 'succeeded')) AS ranked_at,
    arg_max(date_diff('millisecond', started_at, finished_at), started_at) FILTER (status = 'succeeded') / 1000.0
        AS train_seconds,
    (SELECT count(*) FROM last WHERE status = 'failed') AS failing
FROM runs
