-- What a Bradley-Terry model is fitted to: how often one item beat the other, each pair of items once.
CREATE MACRO bt_pairs(subject := 'model_versions', of_tenant := 'default') AS TABLE
WITH items AS MATERIALIZED ( -- once, not for either side
    SELECT
        clip_id,
        CASE subject WHEN 'model_versions' THEN model WHEN 'templates' THEN template WHEN 'clips' THEN clip_id END AS item
    FROM clips
    WHERE tenant = of_tenant
),
sides AS (
    SELECT l.item AS left_item, r.item AS right_item, c.result, c.p_left, c.weight
    FROM comparisons_current AS c
    JOIN items AS l ON l.clip_id = c.left_clip_id
    JOIN items AS r ON r.clip_id = c.right_clip_id
    WHERE c.tenant = of_tenant
),
ordered AS (
    SELECT left_item, right_item, result = 'left' AS first_won, result = 'right' AS second_won, p_left, weight
    FROM sides
    WHERE left_item < right_item
    UNION ALL
    SELECT right_item, left_item, result = 'right', result = 'left', 1 - p_left, weight
    FROM sides
    WHERE left_item > right_item
)
SELECT
    left_item,
    right_item,
    count(*) AS comparisons,
    count(*) FILTER (first_won) AS left_wins,
    count(*) FILTER (second_won) AS right_wins,
    count(*) FILTER (NOT first_won AND NOT second_won) AS ties,
    sum(weight * p_left) AS left_weight,
    sum(weight * (1 - p_left)) AS right_weight
FROM ordered
GROUP BY ALL
ORDER BY ALL;
COMMENT ON MACRO TABLE bt_pairs IS
    'Wins and losses of each pair of model_versions, templates or clips among the latest preference labels: what a Bradley-Terry model is fitted to.';
