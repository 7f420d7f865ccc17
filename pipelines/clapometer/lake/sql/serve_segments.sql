-- The segments that a run computed for a subject, with how many items each has.
-- Parameters  tenant, run, subject.
SELECT
    segment,
    segment_value,
    count(*) AS items,
    count("rank") AS ranked,
    max(tier) AS tier,
    coalesce(bool_and(calibrated) FILTER ("rank" IS NOT NULL), false) AS calibrated
FROM rankings
WHERE tenant = $tenant AND run_id = $run AND subject = $subject
GROUP BY segment, segment_value
ORDER BY segment, items DESC, segment_value
