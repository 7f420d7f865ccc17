-- What slots earned that were filled by chance: the sample from which the examination of positions is learnt.
-- Reads  labelled.
SELECT place, sum(round(label * 1048576)) / 1048576 AS label
FROM labelled
WHERE explored
GROUP BY ALL
ORDER BY ALL
