-- What every ranked item of a run is worth over all segments; slates are ordered by it.
-- Parameters  tenant, run.
SELECT subject, item, effect
FROM rankings
WHERE tenant = $tenant AND run_id = $run AND segment = 'all' AND effect IS NOT NULL
