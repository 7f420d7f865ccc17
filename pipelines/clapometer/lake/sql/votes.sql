-- A person compared two impressions.
CREATE VIEW votes AS
SELECT
    tenant,
    source,
    id,
    time,
    received_at,
    left_impression_id,
    right_impression_id,
    result,
    axes
FROM events
WHERE type = 'voted';
COMMENT ON VIEW votes IS 'A person compared two impressions.';
