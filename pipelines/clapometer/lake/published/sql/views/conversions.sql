-- What viewers did with the product that was shown.
CREATE VIEW conversions AS
SELECT
    tenant,
    source,
    id,
    time,
    received_at,
    trust,
    impression_id,
    kind,
    value,
    currency,
    order_id
FROM events
WHERE type = 'converted';
COMMENT ON VIEW conversions IS 'What viewers did with the product that was shown.';
