-- The impressions that events which came or went between two snapshots are about.
-- Reads  came, gone (rows of files that only the newer, only the older snapshot has), events. Compaction moves rows from
-- one file to another: they are in both and touch nothing. An order counts for one of the impressions that claim it: what
-- touches one of them touches all.
WITH
moved AS (
    SELECT 'came' AS side, tenant, type, impression_id, time, hash(source, id) AS event, received_at, kind, trust FROM came
    UNION ALL
    SELECT 'gone', tenant, type, impression_id, time, hash(source, id), received_at, kind, trust FROM gone
),
touched AS MATERIALIZED (
    SELECT
        tenant, impression_id,
        CASE WHEN type = 'impression' THEN CAST(time AT TIME ZONE 'UTC' AS DATE) END AS shown_date,
        -- outcomes of impressions that count leave it out
        type <> 'impression' AND coalesce(any_value(trust = 'unvouched' AND kind IS NULL), false) AS unvouched
    FROM moved
    WHERE type IN ('impression', 'watched', 'reacted', 'converted')
    GROUP BY tenant, type, impression_id, time, event, received_at
    HAVING count(*) FILTER (side = 'came') != count(*) FILTER (side = 'gone')
),
claims AS (
    SELECT tenant, order_id, impression_id FROM events WHERE type = 'converted' AND order_id IS NOT NULL
    UNION ALL
    SELECT tenant, order_id, impression_id FROM gone WHERE type = 'converted' AND order_id IS NOT NULL
)
FROM touched
UNION ALL
SELECT DISTINCT tenant, other.impression_id, CAST(NULL AS DATE), false
FROM claims SEMI JOIN touched USING (tenant, impression_id)
    JOIN claims AS other USING (tenant, order_id)
WHERE other.impression_id <> claims.impression_id
