-- Every group metric that one look gives, by day and model version.
CREATE VIEW daily_metrics AS
SELECT
    measures.tenant,
    shown_date AS day,
    model,
    any_value(main_currency) AS main_currency,
    count(*) AS impressions,
    approx_count_distinct(viewer_id) AS viewers,
    count(DISTINCT clip_id) AS clips,
    {ratios_at_once}
FROM (
    SELECT
        measures.*,
        main_currencies.main_currency,
        CASE
            WHEN measures.currency = main_currencies.main_currency THEN coalesce(measures.revenue, 0)
            WHEN main_currencies.main_currency IS NOT NULL THEN 0
        END AS income
    FROM measures LEFT JOIN main_currencies ON main_currencies.tenant = measures.tenant
    WHERE counted
) AS measures
GROUP BY measures.tenant, shown_date, model;
COMMENT ON VIEW daily_metrics IS
    'The group metrics by day (UTC) and model version, over the impressions that count; all but duration_adjusted_completion.';
