-- How many impressions push each lead, by size of the push: a bucket is an eighth of a factor of two.
-- Reads  labelled, curve, pushed (pair, clip, gain, base, expected). Of many impressions, those of every $every-th viewer.
-- What pushes the other way is dropped before anything else is computed of it: there are as many rows as impressions
-- times pairs.
WITH seen AS (
    SELECT
        s.clip, s.label, c.examination, CASE WHEN $uniform THEN 1.0 ELSE coalesce(s.weight, 0.0) END AS weight
    FROM labelled s JOIN curve c USING (place)
    WHERE s.viewer % $every = 0
),
pushes AS (
    SELECT p.pair, (p.gain * s.weight + p.base) * (s.label - p.expected * s.examination) AS push
    FROM seen s JOIN pushed p USING (clip)
)
SELECT pair, CAST(floor(log2(push) * 8) AS BIGINT) AS bucket, count(*) AS impressions
FROM pushes
WHERE push > 1e-12
GROUP BY ALL
ORDER BY ALL
