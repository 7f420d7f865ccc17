-- Reports of how much of an impression was watched so far; the largest of each number wins.
CREATE VIEW watches AS
SELECT
    tenant,
    source,
    id,
    time,
    received_at,
    trust,
    impression_id,
    watched_ms,
    played_segments,
    total_ms,
    muted_ms,
    paused_ms,
    loops,
    max_position_ms,
    end_reason
FROM events
WHERE type = 'watched';
COMMENT ON VIEW watches IS 'Reports of how much of an impression was watched so far; the largest of each number wins.';
