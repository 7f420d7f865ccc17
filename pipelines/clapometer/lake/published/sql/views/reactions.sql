-- Explicit reactions and their undoing.
CREATE VIEW reactions AS
SELECT
    tenant,
    source,
    id,
    time,
    received_at,
    trust,
    impression_id,
    reaction,
    coalesce(undone, false) AS undone,
    channel,
    reason
FROM events
WHERE type = 'reacted';
COMMENT ON VIEW reactions IS 'Explicit reactions and their undoing.';
