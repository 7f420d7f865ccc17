-- Good runs that read an impression of one of the clips: those that began after the first one was received.
-- Parameters  tenant, clips.
SELECT run_id
FROM runs
WHERE tenant = $tenant AND status = 'succeeded' AND started_at >= (
    SELECT min(received_at) FROM events
    WHERE type = 'impression' AND tenant = $tenant AND clip_id IN $clips
)
ORDER BY started_at
