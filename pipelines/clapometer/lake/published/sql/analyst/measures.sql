-- One row per outcome with what its clip is, whether it counts, and the per-impression metrics of the catalogue.
-- {impression}: those metrics.
CREATE VIEW measures AS
WITH latest AS (
    SELECT tenant, max(ROW(started_at, run_id))[2] AS run_id
    FROM runs
    WHERE status = 'succeeded'
    GROUP BY ALL
),
left_out AS (SELECT screened.* FROM screened JOIN latest USING (tenant, run_id))
SELECT
    outcomes.*,
    clips.prompt_id,
    clips.model,
    clips.model_name,
    clips.model_version,
    clips.template,
    clips.task,
    clips.lineage_scenario AS scenario,
    clips.lineage_product_id AS product_id,
    clips.lineage_campaign_id AS campaign_id,
    clips.lineage_creator_id AS creator_id,
    clips.duration_ms,
    clips.cost_amount,
    clips.cost_currency,
    -- as the rankings count, whose latest run says which viewers are no people, and what no other outcome is like
    outcomes.trust IN {vouched}
    AND clips.clip_id IS NOT NULL
    AND NOT clips.withdrawn
    AND NOT clips.ad
    AND NOT clips.watermark
    AND outcomes.viewer_id IS DISTINCT FROM clips.lineage_creator_id
    AND NOT coalesce((outcomes.tenant, outcomes.viewer_id) IN (
        SELECT (left_out.tenant, left_out.item) FROM left_out WHERE left_out.subject = 'viewer'
    ), false)
    AND NOT coalesce((outcomes.tenant, outcomes.shown_date) IN (
        SELECT (left_out.tenant, TRY_CAST(left_out.item AS DATE)) FROM left_out WHERE left_out.subject = 'day'
    ), false)
    AND NOT coalesce(1 / (propensity * candidates) > (
        SELECT map(list(tenant), list(TRY_CAST(item AS DOUBLE))) FROM left_out WHERE subject = 'weight'
    )[outcomes.tenant], false)
    AND NOT odd_revenue AS counted,
    {impression},
    CAST(FLOOR(LN(GREATEST(duration_ms, 1)) * 12.5) AS BIGINT) AS duration_bin,
    CAST(FLOOR(LN(1.0 + 200.0 * (played_ms / CAST(GREATEST(duration_ms, 1) AS DOUBLE))) * 50.0) AS BIGINT) AS ratio_bin
FROM (
    SELECT
        *,
        CASE WHEN revenue IS NULL THEN false ELSE coalesce(abs(revenue) > ( -- most have none, and need no look
            SELECT map(list((tenant, split_part(item, ' ', 1))), list(TRY_CAST(split_part(item, ' ', 2) AS DOUBLE)))
            FROM left_out
            WHERE subject = 'revenue'
        )[(tenant, currency)], false) END AS odd_revenue
    FROM outcomes
) AS outcomes
LEFT JOIN clips ON clips.tenant = outcomes.tenant AND clips.clip_id = outcomes.clip_id;
COMMENT ON VIEW measures IS
    'One row per outcome with its clip''s model, prompt and template, and the per-impression metrics: the view to ask most questions of.';
