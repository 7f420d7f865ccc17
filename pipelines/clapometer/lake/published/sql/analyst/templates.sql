-- One row per prompt template: its clips, what they came to by the metric catalogue, and its place in the latest ranking.
CREATE VIEW templates AS
WITH
made AS (
    SELECT
        priced_clips.tenant, template, any_value(template_id) AS template_id, any_value(template_version) AS template_version,
        count(*) AS clips, count(DISTINCT prompt_id) AS prompts, count(DISTINCT model) AS models,
        min(registered_at) AS first_clip_at, any_value(main_currency) AS main_currency,
        any_value(main_currency_share) AS main_currency_share, any_value(priced_clips.main_cost_currency) AS main_cost_currency,
        any_value(priced_clips.main_cost_currency_share) AS main_cost_currency_share, {ratios:cost_per_clip,gpu_seconds_per_clip}
    FROM priced_clips LEFT JOIN main_currencies ON main_currencies.tenant = priced_clips.tenant
    WHERE template IS NOT NULL AND NOT (withdrawn OR ad OR watermark)
    GROUP BY priced_clips.tenant, template
),
shown AS (
    SELECT tenant, template, count(*) AS impressions, approx_count_distinct(viewer_id) AS viewers, {ratios}
    FROM counted_measures
    WHERE template IS NOT NULL
    GROUP BY tenant, template
)
SELECT
    made.*,
    coalesce(shown.impressions, 0) AS impressions,
    coalesce(shown.viewers, 0) AS viewers,
    shown.* EXCLUDE (tenant, template, impressions, viewers),
    ranked."rank", ranked.rank_low, ranked.rank_high, ranked.effect, ranked.effect_low, ranked.effect_high,
    ranked.verdict, ranked.tier, ranked.unranked_reason
FROM made
LEFT JOIN shown ON shown.tenant = made.tenant AND shown.template = made.template
LEFT JOIN rankings_current AS ranked
    ON ranked.tenant = made.tenant AND ranked.item = made.template
    AND ranked.subject = 'templates' AND ranked.segment = 'all';
COMMENT ON VIEW templates IS
    'One row per prompt template: its clips, every group metric over the impressions that count, and its place in the latest ranking.';
