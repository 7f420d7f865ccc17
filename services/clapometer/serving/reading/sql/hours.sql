-- Events per hour of the last two days that have any.
-- Parameters  tenant.
SELECT hour, sum(stored)::BIGINT AS stored, sum(duplicate)::BIGINT AS duplicates, sum(rejected)::BIGINT AS rejected
FROM ledger
WHERE tenant = $tenant
    AND hour > (SELECT max(hour) FROM ledger WHERE tenant = $tenant) - INTERVAL 48 HOURS
GROUP BY hour
ORDER BY hour
