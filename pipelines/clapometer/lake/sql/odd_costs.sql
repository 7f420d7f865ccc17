-- What generating a clip is said to have cost, where no other clip cost anything like it: more than ten times the largest
-- cost of its unit, or of its unit and model version, when three of them, or one in a thousand, are not looked at. The
-- limit of `outlier_limit`, so that no one registration decides what clips cost.
-- Reads  said (tenant, clip_id, model, unit, amount): one row per clip and unit, which is a currency or GPU seconds.
WITH limits AS (
    SELECT
        tenant, unit, model,
        10 * list_reverse_sort(list(amount))[1 + least(greatest(3, count(*) // 1_000), count(*) // 2)] AS most
    FROM said
    WHERE amount > 0 AND unit IS NOT NULL -- of nothing there may be any number
    GROUP BY GROUPING SETS ((tenant, unit), (tenant, unit, model))
)
SELECT said.tenant, said.clip_id, said.model, said.unit, said.amount, least(every_model.most, own.most) AS most
FROM said
JOIN limits AS own ON own.tenant = said.tenant AND own.unit = said.unit AND own.model = said.model
JOIN limits AS every_model
    ON every_model.tenant = said.tenant AND every_model.unit = said.unit AND every_model.model IS NULL
WHERE said.amount > least(every_model.most, own.most)
