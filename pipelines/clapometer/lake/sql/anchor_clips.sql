-- How each clip was engaged with: sums of every signal, and how often its slots were looked at.
-- Reads  labelled, curve (place, examination). {sums}: a sum per signal of the rule. Sums are of whole
-- units of 2^-20: exact, so that they do not depend on the order of the rows.
SELECT
    s.clip, count(*) AS impressions,
    sum(round(c.examination * 1048576)) / 1048576 AS looked,
    {sums}
FROM labelled s JOIN curve c USING (place)
GROUP BY ALL
ORDER BY ALL
