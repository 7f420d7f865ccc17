-- The watch quantile of every length bin and watch-ratio bin, over the outcomes that count.
CREATE VIEW watch_quantiles AS
SELECT
    tenant,
    duration_bin,
    ratio_bin,
    impressions,
    (sum(impressions) OVER (PARTITION BY tenant, duration_bin ORDER BY ratio_bin) - impressions / 2)
    / sum(impressions) OVER (PARTITION BY tenant, duration_bin) AS watch_quantile
FROM (
    SELECT tenant, duration_bin, ratio_bin, count(*) AS impressions
    FROM measures
    WHERE counted
    GROUP BY ALL
);
COMMENT ON VIEW watch_quantiles IS
    'Where a time played lies among those of clips of about the same length: a lookup table for completion.duration_adjusted.v1.';
