-- The clip that is taken down, and those that the scope adds, as in withdrawn.sql: what was made from it, or is the same.
-- Parameters  tenant, clip, scope.
WITH RECURSIVE known AS (
    SELECT DISTINCT clip_id, lineage_parent_clip_id AS parent, content_hash, flags_repost_of AS repost_of
    FROM files.other_events WHERE type = 'clip_registered' AND tenant = $tenant
),
marks AS (
    SELECT clip_id, 'content ' || content_hash AS mark FROM known WHERE content_hash IS NOT NULL
    UNION ALL
    SELECT clip_id, 'clip ' || repost_of FROM known WHERE repost_of IS NOT NULL
    UNION ALL
    SELECT clip_id, 'clip ' || clip_id FROM known
    UNION ALL
    SELECT $clip, 'clip ' || $clip
),
descent AS (
    SELECT $clip AS clip_id
    UNION
    SELECT k.clip_id FROM descent d JOIN known k ON k.parent = d.clip_id
),
alike AS (
    SELECT $clip AS clip_id
    UNION
    SELECT other.clip_id
    FROM alike JOIN marks AS mine ON mine.clip_id = alike.clip_id JOIN marks AS other ON other.mark = mine.mark
)
SELECT $clip AS clip_id
UNION
SELECT clip_id FROM descent WHERE $scope = 'descendants'
UNION
SELECT clip_id FROM alike WHERE $scope = 'duplicates'
ORDER BY ALL
