-- Rows of a KuaiRand log. The sample says like or hate in `label`; the logs as published have a column for each, and say
-- which slots were filled at random.
INSERT INTO plays
SELECT
    user_id,
    video_id,
    time_ms,
    play_time_ms AS play_ms,
    duration_ms,
    coalesce(label, is_like) = 1 AS liked,
    coalesce(label = 0, is_hate = 1, false) AS hated,
    is_follow = 1 AS followed,
    is_comment = 1 AS commented,
    is_forward = 1 AS forwarded,
    is_rand = 1 AS explored,
    tab
FROM typed
