-- Cells of everything, or of every value of one segment, from those of all segments at once.
-- Reads  cells (train_cells.sql). Sums of exact sums are exact.
SELECT
    cell{segment},
    CAST(sum(impressions) AS BIGINT) AS impressions,
    sum(sum_label) AS sum_label,
    sum(sum_exposure) AS sum_exposure,
    sum(sum_weighted_label) AS sum_weighted_label,
    sum(sum_weighted_exposure) AS sum_weighted_exposure,
    sum(sum_capped_label) AS sum_capped_label,
    sum(sum_capped_exposure) AS sum_capped_exposure,
    sum(sum_weight) AS sum_weight,
    CAST(sum(completed) AS BIGINT) AS completed,
    CAST(sum(liked) AS BIGINT) AS liked,
    sum(revenue) AS revenue
FROM cells
WHERE {filter}
GROUP BY ALL
ORDER BY ALL
