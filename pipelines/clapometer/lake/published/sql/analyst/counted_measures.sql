-- The measures that count, with what needs a look at all of them: the watch quantile and the main currencies.
-- They are looked up, not joined: over many files DuckDB has no statistics and takes the tenants for the larger side.
CREATE VIEW counted_measures AS
SELECT
    measures.* EXCLUDE (main),
    main.main_currency,
    main.main_cost_currency,
    watch_quantiles.watch_quantile,
    CASE
        WHEN measures.currency = main.main_currency THEN coalesce(measures.revenue, 0)
        WHEN main.main_currency IS NOT NULL THEN 0
    END AS income
FROM (
    SELECT *, (SELECT map(list(tenant), list(main_currencies)) FROM main_currencies)[tenant] AS main
    FROM measures
    WHERE counted
) AS measures
LEFT JOIN watch_quantiles
    ON watch_quantiles.tenant = measures.tenant
    AND watch_quantiles.duration_bin = measures.duration_bin
    AND watch_quantiles.ratio_bin = measures.ratio_bin;
COMMENT ON VIEW counted_measures IS
    'The measures that count, with watch_quantile, the main currencies and income. Takes a second look at all outcomes of the tenant.';
