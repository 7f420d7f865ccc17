-- Sufficient statistics by clip, day, viewer fold and segment ({by}: the column, {filter}: the values wanted).
-- Reads  labelled, curve (surface, position, examination). The sums are of integers (units of 2^-20): a sum of
-- floats would depend on the order of the rows, and with it on the number of threads.
WITH weighted AS (
    SELECT
        s.clip, s.day, s.fold, {by} AS segment, s.label, s.completed, s.liked, s.income,
        c.examination, CASE WHEN $uniform THEN 1.0 ELSE coalesce(s.weight, 0.0) END AS weight
    FROM labelled s JOIN curve c USING (surface, position)
    WHERE {filter}
)
SELECT
    clip, day, fold, CAST(segment AS VARCHAR) AS segment,
    count(*) AS impressions,
    CAST(sum(CAST(round(label * 1048576) AS BIGINT)) AS DOUBLE) / 1048576 AS sum_label,
    CAST(sum(CAST(round(examination * 1048576) AS BIGINT)) AS DOUBLE) / 1048576 AS sum_exposure,
    CAST(sum(CAST(round(weight * label * 1048576) AS BIGINT)) AS DOUBLE) / 1048576 AS sum_weighted_label,
    CAST(sum(CAST(round(weight * examination * 1048576) AS BIGINT)) AS DOUBLE) / 1048576 AS sum_weighted_exposure,
    CAST(sum(CAST(round(least(weight, 10) * label * 1048576) AS BIGINT)) AS DOUBLE) / 1048576 AS sum_capped_label,
    CAST(sum(CAST(round(least(weight, 10) * examination * 1048576) AS BIGINT)) AS DOUBLE) / 1048576
        AS sum_capped_exposure,
    CAST(sum(CAST(round(weight * 1048576) AS BIGINT)) AS DOUBLE) / 1048576 AS sum_weight,
    count(*) FILTER (completed) AS completed,
    count(*) FILTER (liked) AS liked,
    CAST(coalesce(sum(CAST(income AS DECIMAL(38, 6))), 0) AS DOUBLE) AS revenue
FROM weighted
GROUP BY ALL
ORDER BY ALL
