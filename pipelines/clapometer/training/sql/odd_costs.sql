-- Row numbers of the clips whose cost no other clip's is like.
-- Reads  registered.
WITH said AS (
    SELECT 0 AS tenant, clip AS clip_id, model, cost_currency AS unit, cost_amount AS amount FROM registered
)
SELECT clip_id AS clip
FROM (
    {sql:lake/sql/odd_costs.sql}
)
ORDER BY clip
