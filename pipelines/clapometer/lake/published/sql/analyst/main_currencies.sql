-- The currencies in which a tenant's money is counted: revenue in that of most purchases that count, cost in that of most
-- clips whose cost does. Neither follows the other: one purchase in another currency says nothing about what clips cost.
-- Where two have nearly as many, one event chooses between them: the share says so.
CREATE VIEW main_currencies AS
WITH
paid AS (
    SELECT DISTINCT ON (tenant)
        tenant, currency AS main_currency, n / sum(n) OVER (PARTITION BY tenant) AS main_currency_share
    FROM (SELECT tenant, currency, count(*) AS n FROM measures WHERE currency IS NOT NULL AND counted GROUP BY ALL)
    ORDER BY tenant, n DESC, currency
),
spent AS (
    {sql:lake/sql/cost_currency.sql}
)
SELECT tenant, main_currency, main_currency_share, main_cost_currency, main_cost_currency_share
FROM paid FULL JOIN spent USING (tenant);
COMMENT ON VIEW main_currencies IS
    'The currencies in which a tenant''s revenue and cost are counted, and of how much of it; amounts in others are left out.';
