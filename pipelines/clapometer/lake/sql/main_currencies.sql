-- The currency in which a tenant's money is counted: that of most purchases that count, else that of most clips' cost.
CREATE VIEW main_currencies AS
WITH
paid AS (
    SELECT tenant, currency, count(*) AS n, 1 AS preference
    FROM measures
    WHERE currency IS NOT NULL AND counted
    GROUP BY ALL
    UNION ALL
    SELECT tenant, cost_currency, count(*), 0
    FROM clips
    WHERE cost_currency IS NOT NULL
    GROUP BY ALL
)
SELECT DISTINCT ON (tenant) tenant, currency AS main_currency
FROM paid
ORDER BY tenant, preference DESC, n DESC, currency;
COMMENT ON VIEW main_currencies IS 'The currency in which a tenant''s revenue and cost are counted; amounts in others are left out.';
