-- The number of the reason why a clip does not count, or not as itself; NULL where it does. One expression.
-- Reads  a row of registered. Parameters  drop_ads, drop_watermarks, drop_reposts.
CASE
    WHEN withdrawn_at IS NOT NULL THEN {exclusion#WITHDRAWN}
    WHEN ad AND $drop_ads THEN {exclusion#AD}
    WHEN watermark AND $drop_watermarks THEN {exclusion#WATERMARK}
    WHEN is_repost AND $drop_reposts THEN {exclusion#REPOST}
END
