-- How many of a clip's viewers are still there at each twentieth of it.
CREATE MACRO retention_curve(clip, of_tenant := 'default') AS TABLE
WITH reached AS (
    SELECT duration_ms, least(greatest(coalesce(max_position_ms, 0), coalesce(watched_ms, 0)), duration_ms) AS reached_ms
    FROM measures
    WHERE clip_id = clip AND tenant = of_tenant AND counted AND started
)
SELECT
    step / 20 AS position_ratio,
    any_value(step * duration_ms / 20) AS position_ms,
    count(*) AS starts,
    count(*) FILTER (reached_ms >= step * duration_ms / 20) AS watching,
    count(*) FILTER (reached_ms >= step * duration_ms / 20) / count(*) AS share,
    wilson_low(count(*) FILTER (reached_ms >= step * duration_ms / 20), count(*)) AS share_low,
    wilson_high(count(*) FILTER (reached_ms >= step * duration_ms / 20), count(*)) AS share_high
FROM reached, range(0, 21) AS steps(step)
GROUP BY step
ORDER BY step;
COMMENT ON MACRO TABLE retention_curve IS
    'Share of a clip''s starts that are still watching at each twentieth of its length, with 95 % Wilson intervals.';
