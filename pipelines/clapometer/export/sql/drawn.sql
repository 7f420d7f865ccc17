-- Rows of ``train`` drawn with replacement, each as often as its weight asks for: systematic sampling, so that a row
-- that should come 2.3 times comes twice or three times. Rows of ``test`` come once. Sums are of decimals, which add up
-- the same way in every run.
-- Reads  exported.
SELECT drawn.* EXCLUDE (part, before, whole, copies)
FROM (
    SELECT
        *,
        if(
            split = 'test', 1,
            floor(((before + part)::DOUBLE / whole) * $rows + {start}) - floor((before::DOUBLE / whole) * $rows + {start})
        )::BIGINT AS copies
    FROM (
        SELECT
            *,
            weight::DECIMAL(18, 9) AS part,
            sum(part) OVER (PARTITION BY split ORDER BY prompt_id, {identity} ROWS UNBOUNDED PRECEDING) - part AS before,
            sum(part) OVER (PARTITION BY split)::DOUBLE AS whole
        FROM exported
    )
) AS drawn, range(copies)
