-- What became of all events of a tenant, and how fresh the lake is.
-- Parameters  tenant.
SELECT
    coalesce(sum(received), 0)::BIGINT AS received,
    coalesce(sum(stored), 0)::BIGINT AS stored,
    coalesce(sum(duplicate), 0)::BIGINT AS duplicates,
    coalesce(sum(conflict), 0)::BIGINT AS conflicts,
    coalesce(sum(rejected), 0)::BIGINT AS rejected,
    coalesce(sum(suppressed), 0)::BIGINT AS suppressed,
    coalesce(sum(weightless), 0)::BIGINT AS weightless,
    coalesce(sum(received - stored - duplicate - rejected - suppressed), 0)::BIGINT AS difference
FROM ledger
WHERE tenant = $tenant
