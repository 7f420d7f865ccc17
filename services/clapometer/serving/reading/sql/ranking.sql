-- One page of a ranking, best first, items without a rank last; completion_rank is the place that the raw
-- completion rate would give each ranked item. In tier C nobody knows how sure an order is: places that the data allow and
-- the probability of being the best are NULL, also where a run of an earlier version stored some.
-- Parameters  tenant, run, subject, segment, segment_value, only (list of items or NULL), n, skip.
SELECT *
FROM (
    SELECT
        item, label, "rank", IF(tier = 'C', NULL, rank_low) AS rank_low, IF(tier = 'C', NULL, rank_high) AS rank_high,
        effect, effect_low, effect_high, value, value_low, value_high,
        IF(tier = 'C', NULL, p_best) AS p_best, verdict, tier, calibrated, unranked_reason, impressions, clips, prompts,
        viewers, completion_rate, like_rate, cost_per_clip, revenue_per_1000, currency, currency_share,
        -- runs of versions that counted cost in the currency of revenue do not say it
        coalesce(cost_currency, CASE WHEN cost_per_clip IS NOT NULL THEN currency END) AS cost_currency,
        cost_currency_share,
        fake_reactions_to_top, impressions_to_drop, votes, withheld_verdict, viewers_to_buy,
        CASE WHEN "rank" IS NOT NULL AND completion_rate IS NOT NULL THEN
            rank() OVER (PARTITION BY "rank" IS NULL ORDER BY completion_rate DESC NULLS LAST)
        END AS completion_rank
    FROM rankings
    WHERE tenant = $tenant
        AND run_id = $run
        AND subject = $subject
        AND segment = $segment
        AND segment_value = $segment_value
)
WHERE $only::VARCHAR[] IS NULL OR list_contains($only::VARCHAR[], item)
ORDER BY "rank" NULLS LAST, impressions DESC NULLS LAST, item
LIMIT $n OFFSET $skip
