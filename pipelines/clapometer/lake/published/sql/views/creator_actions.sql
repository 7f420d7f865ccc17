-- What creators did with the clips that one prompt or batch gave.
CREATE VIEW creator_actions AS
SELECT
    tenant,
    source,
    id,
    time,
    received_at,
    prompt_id,
    batch_id,
    action,
    chosen_clip_id,
    shown_clip_ids
FROM files.other_events
WHERE type = 'creator_acted';
COMMENT ON VIEW creator_actions IS 'What creators did with the clips that one prompt or batch gave.';
