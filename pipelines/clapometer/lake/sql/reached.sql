-- What requests to take clips down reach: those named, what was made from them where the scope is descendants, and
-- where it is duplicates what is the same clip, also through others: reposts and equal contents.
-- Nothing here is materialised: where no request reaches further, no registration is read.
-- Reads  requests (tenant, clip_id, withdrawn_at, reason, scope), which whoever includes this names.
WITH RECURSIVE
known AS NOT MATERIALIZED (
    SELECT tenant, clip_id, lineage_parent_clip_id AS parent, content_hash, flags_repost_of AS repost_of
    FROM files.other_events
    WHERE type = 'clip_registered'
),
marks AS NOT MATERIALIZED (
    SELECT tenant, clip_id, 'content ' || content_hash AS mark FROM known WHERE content_hash IS NOT NULL
    UNION ALL
    SELECT tenant, clip_id, 'clip ' || repost_of FROM known WHERE repost_of IS NOT NULL
    UNION ALL
    SELECT tenant, clip_id, 'clip ' || clip_id FROM known
    UNION ALL
    SELECT tenant, clip_id, 'clip ' || clip_id FROM requests
),
descent AS (
    SELECT tenant, clip_id, withdrawn_at, reason FROM requests WHERE scope = 'descendants'
    UNION
    SELECT known.tenant, known.clip_id, descent.withdrawn_at, descent.reason
    FROM descent JOIN known ON known.tenant = descent.tenant AND known.parent = descent.clip_id
),
alike AS (
    SELECT tenant, clip_id, withdrawn_at, reason FROM requests WHERE scope = 'duplicates'
    UNION
    SELECT other.tenant, other.clip_id, alike.withdrawn_at, alike.reason
    FROM alike
        JOIN marks AS mine ON mine.tenant = alike.tenant AND mine.clip_id = alike.clip_id
        JOIN marks AS other ON other.tenant = mine.tenant AND other.mark = mine.mark
)
SELECT tenant, clip_id, withdrawn_at, reason FROM requests
UNION ALL FROM descent
UNION ALL FROM alike
