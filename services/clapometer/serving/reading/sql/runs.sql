-- The last runs of a tenant, good or not, newest first.
-- Parameters  tenant, n.
SELECT
    run_id, status, "trigger", started_at, finished_at, code_version, rule, estimator, parameters, seed,
    "snapshot", excluded, outcomes, result_hash, error, as_of, tier, tier_reason
FROM runs
WHERE tenant = $tenant
ORDER BY coalesce(finished_at, started_at) DESC, run_id DESC
LIMIT $n
