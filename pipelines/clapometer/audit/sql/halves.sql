-- What viewers liked and disliked in the first and the second half of the traffic: sums over viewers for a ratio's error.
-- Reads  outcomes, automated. Parameters  tenant; days: those that are no part of the run.
WITH people AS (
    SELECT *
    FROM outcomes o ANTI JOIN automated a ON a.viewer_id = o.viewer_id
    WHERE tenant = $tenant AND trust IN {vouched} AND shown_date NOT IN (SELECT unnest($days::DATE[]))
),
middle AS (
    {sql:audit/sql/middle.sql}
),
viewers AS (
    SELECT
        viewer_id, shown_date >= middle.day AS late, count(*) AS shown,
        count(*) FILTER (liked OR saved OR shared OR commented OR followed) AS praised,
        count(*) FILTER (reported) AS reported,
        count(*) FILTER (disliked OR hidden OR not_interested) AS refused
    FROM people, middle
    GROUP BY ALL
)
SELECT
    signal, late, CAST(sum(shown) AS DOUBLE) AS shown, CAST(sum(found) AS DOUBLE) AS found,
    CAST(sum(found * found) AS DOUBLE) AS found_found, CAST(sum(found * shown) AS DOUBLE) AS found_shown,
    CAST(sum(shown * shown) AS DOUBLE) AS shown_shown
FROM (UNPIVOT viewers ON praised, reported, refused INTO NAME signal VALUE found)
GROUP BY ALL
ORDER BY ALL
