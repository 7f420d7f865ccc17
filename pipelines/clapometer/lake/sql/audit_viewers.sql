-- How much each viewer pushes the lead of the first item over the second.
-- Reads  labelled, curve, pushed (pair, clip, gain, base, expected).
SELECT
    s.viewer,
    sum(
        (p.gain * CASE WHEN $uniform THEN 1.0 ELSE coalesce(s.weight, 0.0) END + p.base)
        * (s.label - p.expected * c.examination)
    ) AS push
FROM labelled s JOIN curve c USING (place) JOIN pushed p USING (clip)
GROUP BY ALL
