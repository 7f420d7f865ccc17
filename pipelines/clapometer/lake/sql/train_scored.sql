-- Every outcome of a tenant, narrow: what the estimators need of it, and why it does not count, if it does not.
-- Reads  outcomes, known (clips: row number, duration_ms as a double, and why the clip does not count), automated.
-- In braces: the viewers that are not people, where there are any, and the label rule's expressions. Reasons are numbered as in clapometer.jobs.statistics.REASONS; the first
-- that applies is given. `place` is surface and position in one number, `watch` length bin, ratio bin and whether
-- watching says nothing: what is looked up by one whole number costs least.
SELECT
    c.clip,
    CAST(o.shown_date - $first_day AS INTEGER) AS day,
    CAST(o.viewer % 2 AS UTINYINT) AS fold,
    o.viewer,
    CAST(coalesce(enum_code(TRY_CAST(o.surface AS surfaces)), 0) * 16384 + coalesce(o.position, -1) + 1 AS INTEGER)
        AS place,
    o.explored,
    -- of any weight beyond a million nothing can be learnt; infinity could not even be added up
    CASE WHEN o.propensity > 0 AND o.candidates > 0
        THEN least(1 / (o.propensity * o.candidates), 1e6) END AS weight,
    1 / o.candidates AS slot,
    (c.duration_bin * 1024 + CAST({ratio_bin} AS INTEGER)) * 2 + CAST(coalesce({silent}, false) AS INTEGER) AS watch,
    coalesce({completed}, false) AS completed,
    o.liked,
    CASE WHEN o.currency = $currency THEN o.revenue END AS income,
    {fixed} AS fixed_label,
    {columns}
    TRY_CAST(o.audience AS audiences) AS audience,
    TRY_CAST(o.locale AS locales) AS locale,
    CAST(CASE
        WHEN o.trust NOT IN ('key', 'token') THEN 1
        WHEN c.clip IS NULL THEN 2
        WHEN c.reason > 0 THEN c.reason
        WHEN o.viewer_id = c.creator_id THEN 7
        {automated}
        WHEN NOT ({mature}) THEN 8
        ELSE 0
    END AS UTINYINT) AS reason
FROM (SELECT *, hash(viewer_id) AS viewer FROM outcomes WHERE tenant = $tenant) o
    LEFT JOIN known c ON c.clip_id = o.clip_id
    {screened}
