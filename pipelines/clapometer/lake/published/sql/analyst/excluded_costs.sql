-- The costs that no other is like: they count in no sum and no mean of costs, and their clips do.
CREATE VIEW excluded_costs AS
WITH said AS (
    SELECT
        tenant, clip_id, model,
        unnest([cost_currency, 'GPU seconds']) AS unit, unnest([cost_amount, cost_gpu_seconds]) AS amount
    FROM clips
)
SELECT *, 'cost far beyond all other' AS excluded_reason
FROM (
    {sql:lake/sql/odd_costs.sql}
);
COMMENT ON VIEW excluded_costs IS
    'What generating a clip is said to have cost, where no other clip cost anything like it: in no sum and no mean of costs.';
