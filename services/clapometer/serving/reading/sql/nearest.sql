-- The items of a ranking whose ids or labels are nearest to a name, for whoever misspelt one.
-- Parameters  tenant, run, subject, segment, segment_value, like, n.
SELECT item, left(label, 60) AS label
FROM rankings
WHERE tenant = $tenant
    AND run_id = $run
    AND subject = $subject
    AND segment = $segment
    AND segment_value = $segment_value
ORDER BY
    least(levenshtein(lower(item), lower($like)), levenshtein(lower(coalesce(label, item)), lower($like))),
    "rank" NULLS LAST, item
LIMIT $n
