-- Whose impressions weigh nothing, for want of a token that holds.
-- Parameters  tenant, n.
SELECT source, sum(weightless)::BIGINT AS weightless, sum(stored)::BIGINT AS stored
FROM ledger
WHERE tenant = $tenant
GROUP BY source
HAVING sum(weightless) > 0
ORDER BY weightless DESC, source
LIMIT $n
