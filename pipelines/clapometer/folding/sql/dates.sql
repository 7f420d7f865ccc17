-- The partitions of outcomes that have to be folded again.
-- Reads  touched, outcomes.
SELECT shown_date FROM touched WHERE shown_date IS NOT NULL
UNION
SELECT shown_date FROM outcomes SEMI JOIN touched USING (tenant, impression_id)
ORDER BY shown_date
