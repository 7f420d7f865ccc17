-- One row per order and currency: which impression it counts for, what it came to, and what is odd about it.
CREATE VIEW orders AS
WITH
shared_orders AS MATERIALIZED (
    {sql:lake/sql/shared_orders.sql}
),
money AS (
    SELECT
        tenant, impression_id, impression_id AS claimed_by, kind, value, currency, trust, source, id,
        order_id AS order_key,
        {sql:lake/sql/order_us.sql} AS order_us
    FROM events ANTI JOIN shared_orders USING (tenant, order_id)
    WHERE type = 'converted' AND kind IN ('purchase', 'refund') AND order_id IS NOT NULL AND trust <> 'unconfirmed'
    WINDOW clock AS (PARTITION BY tenant, impression_id, source)
    UNION ALL
    SELECT tenant, impression_id, claimed_by, kind, value, currency, trust, source, id, order_id, order_us
    FROM shared_orders
),
sums AS (
    {sql:lake/sql/order_sums.sql}
),
whole AS (
    SELECT
        tenant, impression_id, order_key, bool_or(refunded_whole) AS whole, bool_or(bought) AS ordered,
        count(DISTINCT currency) FILTER (bought) AS currencies
    FROM sums
    GROUP BY ALL
)
SELECT
    tenant,
    order_key AS order_id,
    impression_id,
    currency,
    CAST(paid AS DOUBLE) AS paid,
    CAST(CASE WHEN whole THEN coalesce(paid, refunded) ELSE coalesce(refunded, 0) END AS DOUBLE) AS refunded,
    CAST(CASE WHEN whole THEN 0 * paid ELSE greatest(0, paid - coalesce(refunded, 0)) END AS DOUBLE) AS revenue,
    CASE
        WHEN NOT ordered THEN 'refund without a purchase'
        WHEN NOT bought THEN 'refund in another currency than the purchase'
        WHEN refunded > paid THEN 'more given back than paid'
        WHEN currencies > 1 THEN 'amounts in several currencies'
    END AS problem
FROM sums JOIN whole USING (tenant, impression_id, order_key)
WHERE bought OR refunded IS NOT NULL OR NOT ordered
UNION ALL
SELECT
    tenant, order_id, max(impression_id), currency, CAST(NULL AS DOUBLE), 0, CAST(NULL AS DOUBLE),
    'unconfirmed: only a publishable key has sent it'
FROM events ANTI JOIN sums ON sums.tenant = events.tenant AND sums.order_key = events.order_id
WHERE type = 'converted' AND kind IN ('purchase', 'refund') AND order_id IS NOT NULL AND trust = 'unconfirmed'
GROUP BY tenant, order_id, currency;
COMMENT ON VIEW orders IS
    'One row per order and currency: the impression it counts for, what was paid and given back, and what is odd about it.';
