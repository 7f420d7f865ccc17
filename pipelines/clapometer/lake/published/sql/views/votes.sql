-- A person compared two impressions.
-- The second condition always holds. Over many files DuckDB has no statistics: with it, it takes votes for fewer than
-- outcomes, and looks up those that were voted on, not the other way round.
CREATE VIEW votes AS
SELECT
    tenant,
    source,
    id,
    time,
    received_at,
    trust,
    left_impression_id,
    right_impression_id,
    result,
    axes
FROM events
WHERE type = 'voted' AND concat(left_impression_id, right_impression_id) <> '';
COMMENT ON VIEW votes IS 'A person compared two impressions.';
