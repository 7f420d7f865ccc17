-- Impressions that events answer but nobody showed: their engagement counts for nothing until the impression comes.
-- Reads  events, outcomes.
SELECT count(DISTINCT impression_id)
FROM (
    SELECT impression_id
    FROM events
    WHERE tenant = $tenant AND type IN ('watched', 'reacted', 'converted')
) ANTI JOIN (SELECT impression_id FROM outcomes WHERE tenant = $tenant) USING (impression_id)
