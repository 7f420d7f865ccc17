-- Every group metric that one look gives, by day and model version.
CREATE VIEW daily_metrics AS
SELECT
    measures.tenant,
    shown_date AS day,
    model,
    any_value(main_currency) AS main_currency,
    any_value(main_currency_share) AS main_currency_share,
    count(*) AS impressions,
    approx_count_distinct(viewer_id) AS viewers,
    count(DISTINCT clip_id) AS clips,
    {ratios_at_once}
FROM (
    SELECT
        * EXCLUDE (main),
        main.main_currency,
        main.main_currency_share,
        CASE
            WHEN currency = main.main_currency THEN coalesce(revenue, 0)
            WHEN main.main_currency IS NOT NULL THEN 0
        END AS income
    FROM (
        SELECT *, (SELECT map(list(tenant), list(main_currencies)) FROM main_currencies)[tenant] AS main
        FROM measures
        WHERE counted
    )
) AS measures
GROUP BY measures.tenant, shown_date, model;
COMMENT ON VIEW daily_metrics IS
    'The group metrics by day (UTC) and model version, over the impressions that count; all but duration_adjusted_completion.';
