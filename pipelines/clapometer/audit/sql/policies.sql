-- What each policy showed with which chance, by clip and viewer fold.
-- Reads  outcomes, registered, automated. Parameters  tenant; weight, days: the run's outliers.
SELECT
    o.policy_id, r.clip, CAST(hash(o.viewer_id) % 2 AS INTEGER) AS fold,
    count(*) AS shown,
    sum(least(1 / (o.propensity * o.candidates), 1e6)) AS weight,
    sum(least(1 / (o.propensity * o.candidates), 1e6) ^ 2) AS squares,
    count(*) FILTER (o.explored) AS explored
FROM outcomes o
    JOIN registered r USING (clip_id)
    ANTI JOIN automated a ON a.viewer_id = o.viewer_id
WHERE o.tenant = $tenant AND o.trust IN {vouched} AND o.policy_id IS NOT NULL
    AND o.propensity > 0 AND o.candidates > 0 AND 1 / (o.propensity * o.candidates) <= $weight
    AND o.shown_date NOT IN (SELECT unnest($days::DATE[]))
GROUP BY ALL
ORDER BY ALL
