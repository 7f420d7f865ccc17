-- The clip that is taken down, and those that the scope adds: what was made from it, or what has the same content.
-- Parameters  tenant, clip, scope.
WITH RECURSIVE known AS (
    SELECT DISTINCT clip_id, lineage_parent_clip_id AS parent, content_hash, flags_repost_of AS repost_of
    FROM files.other_events WHERE type = 'clip_registered' AND tenant = $tenant
),
descent AS (
    SELECT $clip AS clip_id
    UNION
    SELECT k.clip_id FROM descent d JOIN known k ON k.parent = d.clip_id
)
SELECT $clip AS clip_id
UNION
SELECT clip_id FROM descent WHERE $scope = 'descendants'
UNION
SELECT copy.clip_id
FROM known copy LEFT JOIN known taken ON taken.clip_id = $clip AND taken.content_hash = copy.content_hash
WHERE $scope = 'duplicates' AND (taken.clip_id IS NOT NULL OR copy.repost_of = $clip)
ORDER BY ALL
