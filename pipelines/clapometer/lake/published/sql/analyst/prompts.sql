-- One row per prompt: its clips, what they came to by the metric catalogue, and its place in the latest ranking.
CREATE VIEW prompts AS
WITH
made AS (
    SELECT
        priced_clips.tenant, prompt_id, any_value(prompt_text) AS prompt_text, any_value(prompt_negative) AS prompt_negative,
        any_value(prompt_lang) AS prompt_lang, count(*) AS clips, count(DISTINCT model) AS models,
        min(registered_at) AS first_clip_at, any_value(main_currency) AS main_currency,
        any_value(main_currency_share) AS main_currency_share, any_value(priced_clips.main_cost_currency) AS main_cost_currency,
        any_value(priced_clips.main_cost_currency_share) AS main_cost_currency_share, {ratios:cost_per_clip,gpu_seconds_per_clip}
    FROM priced_clips LEFT JOIN main_currencies ON main_currencies.tenant = priced_clips.tenant
    WHERE NOT (withdrawn OR ad OR watermark)
    GROUP BY priced_clips.tenant, prompt_id
),
shown AS (
    SELECT tenant, prompt_id, count(*) AS impressions, approx_count_distinct(viewer_id) AS viewers, {ratios}
    FROM counted_measures
    GROUP BY tenant, prompt_id
)
SELECT
    made.*,
    coalesce(shown.impressions, 0) AS impressions,
    coalesce(shown.viewers, 0) AS viewers,
    shown.* EXCLUDE (tenant, prompt_id, impressions, viewers),
    ranked."rank", ranked.rank_low, ranked.rank_high, ranked.effect, ranked.effect_low, ranked.effect_high,
    ranked.verdict, ranked.tier, ranked.unranked_reason
FROM made
LEFT JOIN shown ON shown.tenant = made.tenant AND shown.prompt_id = made.prompt_id
LEFT JOIN rankings_current AS ranked
    ON ranked.tenant = made.tenant AND ranked.item = made.prompt_id
    AND ranked.subject = 'prompts' AND ranked.segment = 'all';
COMMENT ON VIEW prompts IS
    'One row per prompt: its clips, every group metric over the impressions that count, and its place in the latest ranking.';
