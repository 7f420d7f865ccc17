-- Who sent impressions of clips that nobody has registered, on the newest two days of receipt: they count in no ranking.
-- Parameters  tenant: NULL for all; n.
SELECT tenant, source, count(*) AS impressions, count(DISTINCT clip_id) AS clips, min(clip_id) AS example
FROM events ANTI JOIN (
    SELECT tenant, clip_id FROM files.other_events WHERE type = 'clip_registered'
) AS registered USING (tenant, clip_id)
WHERE type = 'impression'
    AND ($tenant::VARCHAR IS NULL OR tenant = $tenant)
    AND received_date >= (
        SELECT (max(hour) AT TIME ZONE 'UTC')::DATE - 1
        FROM ledger
        WHERE stored > 0 AND ($tenant::VARCHAR IS NULL OR tenant = $tenant)
    )
GROUP BY tenant, source
ORDER BY impressions DESC, tenant, source
LIMIT $n
