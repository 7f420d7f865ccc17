-- The outcomes that count, with their label.
-- Reads  scored, watch_quantiles (duration_bin, ratio_bin, quantile). {label}: the rule's expression.
SELECT s.*, least(greatest({label}, -1e6), 1e6) AS label
FROM (
    SELECT r.*, q.quantile AS watch_quantile
    FROM scored r LEFT JOIN watch_quantiles q USING (duration_bin, ratio_bin)
    WHERE r.reason = 0
) s
