-- The commonest reasons why events were refused.
-- Parameters  tenant, n.
SELECT reason, field, count(*) AS events, max(received_at) AS newest_at
FROM rejected
WHERE tenant = $tenant
GROUP BY reason, field
ORDER BY events DESC, reason, field
LIMIT $n
