-- Clips with what they cost, as far as it counts.
CREATE VIEW priced_clips AS
WITH spent AS (
    {sql:lake/sql/cost_currency.sql}
)
SELECT
    clips.*,
    main_cost_currency,
    main_cost_currency_share,
    CASE
        WHEN clips.cost_currency = main_cost_currency AND list_position(odd.units, clips.cost_currency) IS NULL THEN cost_amount
    END AS cost,
    CASE WHEN list_position(odd.units, 'GPU seconds') IS NULL THEN cost_gpu_seconds END AS gpu_seconds
FROM clips
LEFT JOIN spent ON spent.tenant = clips.tenant
LEFT JOIN (SELECT tenant, clip_id, list(unit) AS units FROM excluded_costs GROUP BY ALL) AS odd
    ON odd.tenant = clips.tenant AND odd.clip_id = clips.clip_id;
COMMENT ON VIEW priced_clips IS
    'One row per clip as in clips, with its cost in the main currency and its GPU seconds, as far as they count.';
