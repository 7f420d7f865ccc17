-- Days of a tenant on which a clip was shown, as far as a run read them.
-- Parameters  tenant, until.
SELECT count(DISTINCT CAST(time AS DATE)) AS days
FROM impressions
WHERE tenant = $tenant AND received_at <= $until
