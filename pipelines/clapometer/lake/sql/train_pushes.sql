-- How many impressions push each lead, by size of the push: a bucket is an eighth of a factor of two.
-- Reads  labelled, curve, pushed (pair, clip, gain, base, expected). Of many impressions, those of every $every-th viewer.
SELECT pair, bucket, count(*) AS impressions
FROM (
    SELECT
        p.pair,
        (p.gain * CASE WHEN $uniform THEN 1.0 ELSE coalesce(s.weight, 0.0) END + p.base)
            * (s.label - p.expected * c.examination) AS push
    FROM labelled s JOIN curve c USING (place) JOIN pushed p USING (clip)
    WHERE s.viewer % $every = 0
), LATERAL (SELECT CAST(floor(log2(greatest(push, 1e-12)) * 8) AS BIGINT) AS bucket)
WHERE push > 1e-12
GROUP BY ALL
ORDER BY ALL
