-- The registered clips of a tenant whose ids are nearest to one that nobody knows.
-- Parameters  tenant, clip, n.
SELECT clip_id
FROM clips
WHERE tenant = $tenant
ORDER BY levenshtein(lower(clip_id), lower($clip)), clip_id
LIMIT $n
