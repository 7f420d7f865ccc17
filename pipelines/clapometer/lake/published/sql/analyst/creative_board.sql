-- Templates against each other, audience by audience: which to make more of.
--
-- The estimate is the mean watch quantile of the cell, shrunk towards its audience's mean by how much cells truly
-- differ (DerSimonian and Laird 1986), with an interval that knows that this was estimated too (Morris 1983). Clips
-- are the independent pieces: the variance of a cell is that between its clips, moderated by the other cells' with
-- the weight of ten clips (Smyth 2004).
--
-- The verdict is right for all templates of an audience at once: its interval is as many times wider as Bonferroni's
-- point of the normal is further out than the 97.5 % one (Abramowitz and Stegun 26.2.23, to 0.00045).
--
-- A clip's whole cost counts in each audience that saw it: costs of audiences do not add up to those of the template.
CREATE VIEW creative_board AS
WITH
clip_sums AS (
    SELECT
        tenant, template, audience, clip_id, main_currency, main_cost_currency, count(*) AS impressions,
        sum(watch_quantile) AS quantiles,
        any_value(CASE WHEN cost_currency = main_cost_currency THEN cost_amount END) AS cost,
        {sums:hook_rate,hold_rate,duration_adjusted_completion,completion_rate,like_rate,negative_rate,add_to_cart_rate,purchase_rate,revenue_per_1000}
    FROM counted_measures
    WHERE template IS NOT NULL
    GROUP BY ALL
),
cells AS (
    SELECT
        clip_sums.tenant, template, audience, main_currency, main_cost_currency, count(*) AS clips,
        sum(impressions)::BIGINT AS impressions,
        {ratios_of_sums:hook_rate,hold_rate,duration_adjusted_completion,completion_rate,like_rate,negative_rate,add_to_cart_rate,purchase_rate,revenue_per_1000},
        sum(cost) FILTER (odd.clip_id IS NULL) AS cost, avg(cost) FILTER (odd.clip_id IS NULL) AS cost_per_clip,
        sum(quantiles) / sum(impressions) AS mean,
        -- squared deviations of the clips, in units of a clip of average exposure
        pow(count(*) / sum(impressions), 2) * greatest(0, sum(pow(quantiles, 2))
            - 2 * sum(quantiles) / sum(impressions) * sum(quantiles * impressions)
            + pow(sum(quantiles) / sum(impressions), 2) * sum(pow(impressions, 2))) AS deviations
    FROM clip_sums LEFT JOIN excluded_costs AS odd
        ON odd.tenant = clip_sums.tenant AND odd.clip_id = clip_sums.clip_id AND odd.unit = main_cost_currency
    GROUP BY ALL
),
moderated AS (
    SELECT
        *,
        9 + clips AS degrees,
        greatest(1e-9, (10 * pooled + deviations) / (9 + clips) / clips) AS variance
    FROM (
        SELECT *, sum(deviations) OVER audiences / nullif(sum(clips - 1) OVER audiences, 0) AS pooled
        FROM cells
        WINDOW audiences AS (PARTITION BY tenant, audience)
    )
),
fixed AS (
    SELECT
        *,
        sum(mean / variance) OVER audiences / sum(1 / variance) OVER audiences AS fixed_mean,
        count(*) OVER audiences AS n_cells,
        sum(1 / variance) OVER audiences AS weight,
        sum(1 / pow(variance, 2)) OVER audiences AS squared_weight
    FROM moderated
    WINDOW audiences AS (PARTITION BY tenant, audience)
),
between_cells AS (
    SELECT
        *,
        coalesce(greatest(0, (sum(pow(mean - fixed_mean, 2) / variance) OVER audiences - (n_cells - 1))
            / nullif(weight - squared_weight / weight, 0)), 0) AS true_variance
    FROM fixed
    WINDOW audiences AS (PARTITION BY tenant, audience)
),
shrunken AS (
    SELECT
        *,
        sum(mean / (true_variance + variance)) OVER audiences / sum(1 / (true_variance + variance)) OVER audiences AS audience_mean,
        sum(variance / (true_variance + variance)) OVER audiences / sum(1 / (true_variance + variance)) OVER audiences AS typical,
        -- how much of the deviation is given up; of three cells or fewer nothing can be borrowed
        CASE WHEN n_cells > 3 THEN (n_cells - 3) / (n_cells - 1) * variance / (variance + true_variance) ELSE 0 END AS shrinkage,
        -- the 97.5 % point of Student's t, Cornish and Fisher's expansion
        1.959963984540054 + 2.372271 / degrees + 2.822507 / pow(degrees, 2) + 2.555855 / pow(degrees, 3) AS reach,
        sqrt(-2 * ln(0.025 / n_cells)) AS tail
    FROM between_cells
    WINDOW audiences AS (PARTITION BY tenant, audience)
),
estimated AS (
    SELECT
        *,
        mean - shrinkage * (mean - audience_mean) AS estimate,
        reach * sqrt(
            variance * (1 - (n_cells - 1) / n_cells * shrinkage)
            + CASE WHEN n_cells > 3 THEN 2 / (n_cells - 3) * pow(shrinkage * (mean - audience_mean), 2)
                * (typical + true_variance) / (variance + true_variance) ELSE 0 END
        ) AS half,
        tail - (2.515517 + 0.802853 * tail + 0.010328 * pow(tail, 2))
            / (1 + 1.432788 * tail + 0.189269 * pow(tail, 2) + 0.001308 * pow(tail, 3)) AS point
    FROM shrunken
),
joint AS (
    SELECT
        *,
        -- Cornish and Fisher's expansion again, to the second order
        half / reach * greatest(reach, point + (pow(point, 3) + point) / (4 * degrees)
            + (5 * pow(point, 5) + 16 * pow(point, 3) + 3 * point) / (96 * pow(degrees, 2))) AS joint_half
    FROM estimated
)
SELECT
    tenant, template, audience, clips, impressions, hook_rate, hold_rate, duration_adjusted_completion, completion_rate,
    like_rate, negative_rate, add_to_cart_rate, purchase_rate, revenue_per_1000, main_currency, cost,
    cost_per_clip, main_cost_currency, audience_mean, estimate, estimate - half AS estimate_low, estimate + half AS estimate_high,
    CASE
        WHEN clips < 5 OR estimate IS NULL THEN 'not enough evidence'
        WHEN estimate - joint_half > audience_mean THEN 'keep'
        WHEN estimate + joint_half < audience_mean THEN 'stop'
        WHEN estimate + joint_half >= max(estimate - joint_half) OVER (PARTITION BY tenant, audience) THEN 'explore'
        ELSE 'not enough evidence'
    END AS verdict
FROM joint;
COMMENT ON VIEW creative_board IS
    'Template by audience: the metrics, and a shrunken estimate of the duration-adjusted completion with a 95 % interval and a verdict. Observational: how clips came to be shown is not taken out, as it is in the rankings.';
