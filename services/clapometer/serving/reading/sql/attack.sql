-- What the latest attack on a tenant's rankings came to, a row per route.
-- Parameters  tenant.
SELECT run_id, audited_at, subject AS route, status, found, advice
FROM audits
WHERE tenant = $tenant
    AND "check" = 'attack'
    AND audited_at = (SELECT max(audited_at) FROM audits WHERE tenant = $tenant AND "check" = 'attack')
ORDER BY status <> 'failed', route
