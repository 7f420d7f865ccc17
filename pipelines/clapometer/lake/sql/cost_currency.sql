-- The currency in which a tenant's costs are counted, that of most clips whose cost counts, and of what share it is.
-- Reads  clips.
WITH said AS (
    SELECT tenant, clip_id, model, cost_currency AS unit, cost_amount AS amount
    FROM clips
    WHERE cost_currency IS NOT NULL AND cost_amount IS NOT NULL
)
SELECT DISTINCT ON (tenant)
    tenant, unit AS main_cost_currency, n / sum(n) OVER (PARTITION BY tenant) AS main_cost_currency_share
FROM (
    SELECT tenant, unit, count(*) AS n
    FROM said ANTI JOIN (
        {sql:lake/sql/odd_costs.sql}
    ) AS odd USING (tenant, clip_id)
    GROUP BY ALL
)
ORDER BY tenant, n DESC, unit
