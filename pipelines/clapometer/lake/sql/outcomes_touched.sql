-- The impressions that events which came or went between two snapshots are about.
-- Reads  came, gone (rows of files that only the newer, only the older snapshot has). Compaction moves rows from
-- one file to another: they are in both and touch nothing.
WITH
moved AS (
    SELECT 'came' AS side, tenant, type, impression_id, time, hash(source, id) AS event, received_at FROM came
    UNION ALL
    SELECT 'gone', tenant, type, impression_id, time, hash(source, id), received_at FROM gone
)
SELECT
    tenant, impression_id,
    CASE WHEN type = 'impression' THEN CAST(time AT TIME ZONE 'UTC' AS DATE) END AS shown_date
FROM moved
WHERE type IN ('impression', 'watched', 'reacted', 'converted')
GROUP BY tenant, type, impression_id, time, event, received_at
HAVING count(*) FILTER (side = 'came') != count(*) FILTER (side = 'gone')
