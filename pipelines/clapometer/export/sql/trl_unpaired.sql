-- A row per clip: whether it is preferred in its prompt, by the weights of its pairs. Clips that win as much as they
-- lose are no row. Weights add up as decimals: floating point numbers would add up differently in every run.
WITH capped AS MATERIALIZED (
    {capped}
)
SELECT
    prompt,
    clip_id AS completion,
    sum(vote) > 0 AS label,
    abs(sum(vote))::DOUBLE AS weight,
    count(*) AS pairs,
    max(tier) AS tier,
    max(model) AS model,
    prompt_id,
    max(split) AS split
FROM (
    SELECT prompt, prompt_id, split, tier, chosen_clip_id AS clip_id, chosen_model AS model, weight::DECIMAL(18, 9) AS vote
    FROM capped
    UNION ALL
    SELECT prompt, prompt_id, split, tier, rejected_clip_id, rejected_model, -weight::DECIMAL(18, 9)
    FROM capped
)
GROUP BY prompt, prompt_id, clip_id
HAVING sum(vote) <> 0
