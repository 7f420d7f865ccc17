-- Whether any event of a tenant names a clip.
-- Parameters  tenant, clip.
SELECT EXISTS (
    SELECT 1
    FROM events
    WHERE tenant = $tenant AND clip_id = $clip AND type IN ('clip_registered', 'impression')
)
