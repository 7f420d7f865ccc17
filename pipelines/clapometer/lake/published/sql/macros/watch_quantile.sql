-- Place of a time played among those of clips of about the same length.
CREATE MACRO watch_quantile(played_ms, duration_ms) AS (
    cume_dist() OVER (PARTITION BY CAST(FLOOR(LN(GREATEST(duration_ms, 1)) * 12.5) AS BIGINT) ORDER BY CAST(FLOOR(LN(1.0 + 200.0 * (played_ms / CAST(GREATEST(duration_ms, 1) AS DOUBLE))) * 50.0) AS BIGINT))
    + 1 - cume_dist() OVER (PARTITION BY CAST(FLOOR(LN(GREATEST(duration_ms, 1)) * 12.5) AS BIGINT) ORDER BY CAST(FLOOR(LN(1.0 + 200.0 * (played_ms / CAST(GREATEST(duration_ms, 1) AS DOUBLE))) * 50.0) AS BIGINT) DESC)
) / 2;
COMMENT ON MACRO watch_quantile IS
    'Place of played_ms among the rows of the query whose clips are about as long, 0 to 1 (mid-distribution): completion.duration_adjusted.v1.';
