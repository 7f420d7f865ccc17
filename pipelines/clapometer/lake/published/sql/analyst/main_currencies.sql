-- The currencies in which a tenant's money is counted: revenue in that of most purchases that count, cost in that of most
-- clips. Neither follows the other: one purchase in another currency says nothing about what clips cost.
CREATE VIEW main_currencies AS
WITH
paid AS (
    SELECT DISTINCT ON (tenant) tenant, currency AS main_currency
    FROM (SELECT tenant, currency, count(*) AS n FROM measures WHERE currency IS NOT NULL AND counted GROUP BY ALL)
    ORDER BY tenant, n DESC, currency
),
spent AS (
    SELECT DISTINCT ON (tenant) tenant, cost_currency AS main_cost_currency
    FROM (
        SELECT tenant, cost_currency, count(*) AS n
        FROM clips
        WHERE cost_currency IS NOT NULL AND cost_amount IS NOT NULL
        GROUP BY ALL
    )
    ORDER BY tenant, n DESC, cost_currency
)
SELECT tenant, main_currency, main_cost_currency FROM paid FULL JOIN spent USING (tenant);
COMMENT ON VIEW main_currencies IS
    'The currencies in which a tenant''s revenue and cost are counted; amounts in others are left out.';
