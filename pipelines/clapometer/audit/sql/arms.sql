-- Viewers per arm of each experiment, and how many of them saw more than one arm.
-- Reads  outcomes. One row per experiment and arm.
WITH seen AS (
    SELECT DISTINCT viewer_id, arm.id AS experiment, arm.variant AS variant
    FROM (
        SELECT viewer_id, unnest(from_json(experiment, '[{"id": "VARCHAR", "variant": "VARCHAR"}]')) AS arm
        FROM outcomes
        WHERE tenant = $tenant AND trust IN {vouched} AND experiment IS NOT NULL
    )
),
torn AS (
    SELECT experiment, viewer_id FROM seen GROUP BY ALL HAVING count(*) > 1
)
SELECT s.experiment, s.variant, count(*) AS viewers, count(t.viewer_id) AS torn
FROM seen s LEFT JOIN torn t USING (experiment, viewer_id)
GROUP BY ALL
ORDER BY ALL
