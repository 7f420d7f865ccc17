-- Viewers who did enough to be judged by it, with sums of what they did.
-- Reads  outcomes. The inner query is that of clapometer.labels.viewer_sums_sql over `own`.
WITH own AS (
    SELECT * FROM outcomes WHERE tenant = $tenant AND trust IN ('key', 'token')
)
SELECT *
FROM ({sums})
WHERE reactions >= $min_reactions OR impressions >= $min_impressions
ORDER BY viewer_id
