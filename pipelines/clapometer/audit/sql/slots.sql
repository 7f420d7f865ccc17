-- Slots in which clips of some model versions were really shown, and what was known of them: what a slate may hand out.
-- Reads  outcomes, registered. One row per impression, in an order that has nothing to do with what came of it.
-- Parameters  tenant; models: the versions; most: of each of them.
SELECT
    r.model, o.clip_id, r.prompt, coalesce(r.duration_ms, 10000)::BIGINT AS duration_ms, o.position, o.surface,
    o.policy_id, o.propensity, o.candidates, CASE WHEN o.propensity IS NOT NULL THEN o.explored END AS explored, o.audience, o.locale,
    o.impression_id, o.viewer_id
FROM outcomes o JOIN registered r USING (clip_id)
WHERE o.tenant = $tenant AND o.trust IN {vouched} AND r.withdrawn_at IS NULL AND r.model IN $models
QUALIFY row_number() OVER (PARTITION BY r.model ORDER BY hash(o.impression_id), o.impression_id) <= $most
ORDER BY hash(o.impression_id), o.impression_id
