-- What each order came to, in each currency: lines that were said at one instant add up, what was said later replaces
-- them, refunds are taken off. What a secret key said of an order goes before what a browser said, and what was said of
-- several impressions at one instant is said once.
-- Reads  money (tenant, impression_id, claimed_by, order_key, kind, value, currency, trust, source, id, order_us).
SELECT
    tenant, impression_id, order_key, currency,
    sum(amount) FILTER (NOT refund) AS paid,
    sum(amount) FILTER (refund) AS refunded,
    -- a refund that names no amount is of all
    coalesce(bool_or(refund AND amount IS NULL), false) AS refunded_whole,
    bool_or(NOT refund) AS bought
FROM (
    SELECT *, max(statement) OVER (PARTITION BY tenant, impression_id, order_key, refund) AS latest
    FROM (
        SELECT
            *,
            {
                'by_key': trust = 'key',
                'order_us': CASE WHEN NOT refund THEN order_us END,
                'source': CASE WHEN NOT refund THEN source END,
                'own': CASE WHEN NOT refund THEN claimed_by = impression_id END,
                'claimed_by': CASE WHEN NOT refund THEN claimed_by END
            } AS statement
        FROM (
            SELECT DISTINCT
                tenant, impression_id, claimed_by, order_key, trust, source, id, order_us, currency,
                -- as refunds were sent before there was a kind for them
                kind = 'refund' OR coalesce(value < 0, false) AS refund,
                abs(CAST(value AS DECIMAL(38, 6))) AS amount
            FROM money
        )
    )
)
WHERE statement IS NOT DISTINCT FROM latest
GROUP BY ALL
