-- The money of orders that several impressions claim, each line with the impression that its order counts for: the last
-- one shown before the order was placed, of those that somebody vouches for if there are any. A refund claims nothing.
-- Reads  events.
WITH
shared AS MATERIALIZED (
    SELECT tenant, order_id
    FROM events
    WHERE type = 'converted' AND order_id IS NOT NULL AND kind IN ('purchase', 'refund') AND trust <> 'unconfirmed'
    GROUP BY ALL
    HAVING min(impression_id) <> max(impression_id)
),
lines AS MATERIALIZED (
    SELECT tenant, order_id, impression_id, kind, value, currency, trust, source, id, time, client_time
    FROM events SEMI JOIN shared USING (tenant, order_id)
    WHERE type = 'converted' AND kind IN ('purchase', 'refund') AND trust <> 'unconfirmed'
),
claims AS MATERIALIZED (SELECT DISTINCT tenant, order_id, impression_id FROM lines WHERE kind = 'purchase'),
said AS MATERIALIZED (
    SELECT
        *,
        {sql:lake/sql/order_us.sql} AS order_us
    FROM (
        FROM lines
        UNION ALL
        SELECT
            claims.tenant, claims.order_id, impression_id, 'shown', NULL, NULL, trust, source, id, time, client_time
        FROM claims JOIN events USING (tenant, impression_id)
        WHERE type = 'impression'
    )
    WINDOW clock AS (PARTITION BY tenant, order_id, source)
),
placed AS (
    SELECT tenant, order_id, min(order_us) AS placed_us FROM said WHERE kind = 'purchase' GROUP BY ALL
),
touches AS (
    SELECT DISTINCT ON (tenant, order_id, impression_id)
        tenant, order_id, impression_id, trust IN {vouched} AS vouched, order_us
    FROM said
    WHERE kind = 'shown'
    ORDER BY vouched DESC, order_us
),
credited AS (
    SELECT
        tenant, order_id,
        arg_max(
            impression_id, (vouched, order_us <= placed_us + 5 * 60_000_000, order_us, impression_id)
        ) AS impression_id
    FROM touches JOIN placed USING (tenant, order_id)
    GROUP BY ALL
)
SELECT
    tenant, credited.impression_id, said.impression_id AS claimed_by, order_id, kind, value, currency, trust, source, id, order_us
FROM said JOIN credited USING (tenant, order_id)
WHERE kind <> 'shown'
