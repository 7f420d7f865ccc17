-- One row per clip shown to a viewer.
CREATE VIEW impressions AS
SELECT
    tenant,
    source,
    id,
    time,
    received_at,
    trust,
    impression_id,
    clip_id,
    viewer_id,
    session_id,
    slate_id,
    position,
    surface,
    policy_id,
    propensity,
    candidates,
    explored,
    experiment,
    audience,
    locale,
    device_class,
    muted_start,
    autoplay
FROM events
WHERE type = 'impression';
COMMENT ON VIEW impressions IS 'One row per clip shown to a viewer.';
COMMENT ON COLUMN impressions.propensity IS 'Chance that this place was filled with this clip, 0 to 1.';
COMMENT ON COLUMN impressions.trust IS 'What vouches for it: key, token, none, forged, expired, mistimed or misplaced.';
