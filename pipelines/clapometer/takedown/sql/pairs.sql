-- How many preference labels of each run name one of the clips.
-- Parameters  tenant, clips.
SELECT run_id, count(*)
FROM comparisons
WHERE tenant = $tenant AND (left_clip_id IN $clips OR right_clip_id IN $clips)
GROUP BY ALL
ORDER BY ALL
