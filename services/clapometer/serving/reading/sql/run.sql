-- The newest good run of a tenant: of that id, or finished by that time, where either is given.
-- Parameters  tenant, run (may be NULL), as_of (may be NULL).
SELECT
    run_id, status, "trigger", started_at, finished_at, code_version, rule, estimator, parameters, seed,
    "snapshot", excluded, outcomes, result_hash, error, as_of, tier, tier_reason
FROM runs
WHERE tenant = $tenant
    AND status = 'succeeded'
    AND ($run::VARCHAR IS NULL OR run_id = $run::VARCHAR)
    AND ($as_of::TIMESTAMPTZ IS NULL OR finished_at <= $as_of::TIMESTAMPTZ)
ORDER BY finished_at DESC, run_id DESC
LIMIT 1
