-- The difference between two items, whichever way round the run stored it.
-- Parameters  tenant, run, subject, segment, segment_value, left_item, right_item.
SELECT left_item, right_item, difference, low, high, always_low, always_high, p_left, tier, bought_low, bought_high
FROM contrasts
WHERE tenant = $tenant
    AND run_id = $run
    AND subject = $subject
    AND segment = $segment
    AND segment_value = $segment_value
    AND list_contains([$left_item, $right_item], left_item)
    AND list_contains([$left_item, $right_item], right_item)
LIMIT 1
