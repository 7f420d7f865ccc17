-- Sufficient statistics by cell (clip * 2^17 + day * 2 + viewer fold) and the segments that are asked for, in {keys}.
-- Reads  labelled, curve (place, examination). The sums are of whole units of 2^-20, which
-- doubles add exactly: any other sum of floats would depend on the order of the rows, so on the number of threads.
WITH weighted AS (
    SELECT
        s.clip, s.day, s.fold{keys}, s.label, s.completed, s.liked, s.income,
        c.examination, CASE WHEN $uniform THEN 1.0 ELSE coalesce(s.weight, 0.0) END AS weight
    FROM labelled s JOIN curve c USING (place)
)
SELECT
    CAST(clip AS BIGINT) * 131072 + day * 2 + fold AS cell{names},
    count(*) AS impressions,
    sum(round(label * 1048576)) / 1048576 AS sum_label,
    sum(round(examination * 1048576)) / 1048576 AS sum_exposure,
    sum(round(weight * label * 1048576)) / 1048576 AS sum_weighted_label,
    sum(round(weight * examination * 1048576)) / 1048576 AS sum_weighted_exposure,
    sum(round(least(weight, 10) * label * 1048576)) / 1048576 AS sum_capped_label,
    sum(round(least(weight, 10) * examination * 1048576)) / 1048576 AS sum_capped_exposure,
    sum(round(weight * 1048576)) / 1048576 AS sum_weight,
    count(*) FILTER (completed) AS completed,
    count(*) FILTER (liked) AS liked,
    coalesce(sum(round(income * 1048576)), 0) / 1048576 AS revenue
FROM weighted
GROUP BY ALL
