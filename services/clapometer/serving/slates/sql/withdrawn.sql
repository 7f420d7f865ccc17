-- The clips that were taken down by name, with the reason, and whether any withdrawal reaches further.
-- Parameters  tenant.
SELECT clip_id, arg_min(reason, time) AS reason, bool_or(scope IS NOT NULL AND scope <> 'clip') AS reaches_further
FROM events
WHERE type = 'clip_withdrawn' AND tenant = $tenant
GROUP BY clip_id
