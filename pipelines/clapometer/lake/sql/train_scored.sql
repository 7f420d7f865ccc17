-- Every outcome of a tenant, narrow: what the estimators need of it, and why it does not count, if it does not.
-- Reads  outcomes, registered (the tenant's clips with their row number), automated (viewer_id, reason).
-- {automated}, {screened}: the viewers that are not people, where there are any; {columns}: what the rule's label reads; {ratio_bin}, {completed}, {mature}: the rule's expressions. Reasons are
-- numbered as in clapometer.jobs.statistics.REASONS; the first that applies is given.
SELECT
    c.clip,
    CAST(o.shown_date - $first_day AS INTEGER) AS day,
    CAST(hash(o.viewer_id) % 2 AS UTINYINT) AS fold,
    hash(o.viewer_id) AS viewer,
    coalesce(TRY_CAST(o.surface AS surfaces), CAST('' AS surfaces)) AS surface,
    CAST(coalesce(o.position, -1) AS INTEGER) AS position,
    o.explored,
    -- of any weight beyond a million nothing can be learnt; infinity could not even be added up
    CASE WHEN o.propensity > 0 AND o.candidates > 0
        THEN least(1 / (o.propensity * o.candidates), 1e6) END AS weight,
    1 / o.candidates AS slot,
    c.duration_bin,
    CAST({ratio_bin} AS INTEGER) AS ratio_bin,
    coalesce({completed}, false) AS completed,
    CASE WHEN o.currency = $currency THEN o.revenue END AS income,
    {columns},
    TRY_CAST(o.audience AS audiences) AS audience,
    TRY_CAST(o.locale AS locales) AS locale,
    CAST(CASE
        WHEN o.trust NOT IN ('key', 'token') THEN 1
        WHEN c.clip IS NULL THEN 2
        WHEN c.withdrawn_at IS NOT NULL THEN 3
        WHEN c.ad AND $drop_ads THEN 4
        WHEN c.watermark AND $drop_watermarks THEN 5
        WHEN c.is_repost AND $drop_reposts THEN 6
        WHEN o.viewer_id = c.creator_id THEN 7
        {automated}
        WHEN NOT ({mature}) THEN 8
        ELSE 0
    END AS UTINYINT) AS reason
FROM outcomes o
    LEFT JOIN registered c ON c.clip_id = o.clip_id
    {screened}
WHERE o.tenant = $tenant
