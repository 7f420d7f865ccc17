-- The outcomes that count, with their label: what is fixed, and what the watch is worth among those of the same length.
-- Reads  scored, watch_worths (watch, worth, watch_quantile). In braces: the worth where the length is unknown.
SELECT s.*, w.watch_quantile, least(greatest(s.fixed_label + coalesce(w.worth, {neutral}), -1e6), 1e6) AS label
FROM scored s LEFT JOIN watch_worths w USING (watch)
WHERE s.reason = 0
