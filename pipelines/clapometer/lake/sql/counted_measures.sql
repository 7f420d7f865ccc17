-- The measures that count, with what needs a look at all of them: the watch quantile and the main currency.
CREATE VIEW counted_measures AS
SELECT
    measures.*,
    watch_quantiles.watch_quantile,
    main_currencies.main_currency,
    CASE
        WHEN measures.currency = main_currencies.main_currency THEN coalesce(measures.revenue, 0)
        WHEN main_currencies.main_currency IS NOT NULL THEN 0
    END AS income
FROM measures
LEFT JOIN watch_quantiles
    ON watch_quantiles.tenant = measures.tenant
    AND watch_quantiles.duration_bin = measures.duration_bin
    AND watch_quantiles.ratio_bin = measures.ratio_bin
LEFT JOIN main_currencies ON main_currencies.tenant = measures.tenant
WHERE measures.counted;
COMMENT ON VIEW counted_measures IS
    'The measures that count, with watch_quantile, main_currency and income. Takes a second look at all outcomes of the tenant.';
