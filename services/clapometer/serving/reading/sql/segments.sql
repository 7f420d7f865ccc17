-- The segments that a run computed for a subject, with how many items each has, and the impressions that it rests on.
-- Parameters  tenant, run, subject.
SELECT
    segment,
    segment_value,
    count(*) FILTER (subject = $subject) AS items,
    count("rank") FILTER (subject = $subject) AS ranked,
    max(tier) FILTER (subject = $subject) AS tier,
    coalesce(bool_and(calibrated) FILTER (subject = $subject AND "rank" IS NOT NULL), false) AS calibrated,
    -- every clip has a model version, and all of them are listed
    coalesce(sum(impressions) FILTER (subject = 'model_versions'), sum(impressions))::BIGINT AS impressions,
    -- a vote is about two items
    (sum(votes) FILTER (subject = $subject AND "rank" IS NOT NULL) // 2)::BIGINT AS votes
FROM rankings
WHERE tenant = $tenant AND run_id = $run AND subject IN ($subject, 'model_versions')
GROUP BY segment, segment_value
HAVING items > 0
ORDER BY segment, items DESC, segment_value
