-- When the newest event of a tenant in the lake was received; looks only at the days that can have it.
-- Parameters  tenant.
SELECT max(received_at) AS newest_event_at
FROM events
WHERE tenant = $tenant
    AND received_date >= (
        SELECT (max(hour) AT TIME ZONE 'UTC')::DATE - 1 FROM ledger WHERE tenant = $tenant AND stored > 0
    )
