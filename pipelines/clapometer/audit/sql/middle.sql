-- The day on which the second half of the traffic begins: that before which the share of impressions is nearest to half.
-- Reads  people (shown_date, a row per impression). Days are those with traffic, not those of the calendar.
SELECT arg_min(shown_date, (abs(2 * before - total), shown_date)) AS day
FROM (
    SELECT
        shown_date, sum(shown) OVER () AS total,
        coalesce(sum(shown) OVER (ORDER BY shown_date ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS before
    FROM (SELECT shown_date, count(*) AS shown FROM people GROUP BY shown_date)
)
WHERE before > 0
