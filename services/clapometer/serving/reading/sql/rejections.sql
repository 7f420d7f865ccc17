-- The commonest reasons why events were refused; what was said of them only where $told.
-- Parameters  tenant, told, n.
SELECT
    coalesce(code, 'other') AS code,
    CASE WHEN $told THEN reason END AS reason,
    CASE WHEN $told THEN field END AS field,
    count(*) AS events,
    max(received_at) AS newest_at
FROM rejected
WHERE tenant = $tenant
GROUP BY ALL
ORDER BY events DESC, code, reason, field
LIMIT $n
