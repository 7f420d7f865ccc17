-- The partitions of outcomes that have to be folded again.
-- Reads  touched, outcomes.
SELECT shown_date FROM touched WHERE shown_date IS NOT NULL
UNION
SELECT outcomes.shown_date
FROM outcomes JOIN touched USING (tenant, impression_id)
WHERE NOT (touched.unvouched AND coalesce(outcomes.trust IN {vouched}, false))
ORDER BY shown_date
