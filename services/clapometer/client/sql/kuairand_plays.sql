-- The rows of a KuaiRand file, typed; a value of another type is an error. The sample says like or hate in `label`; the
-- logs as published have a column for each, and say which slots were filled at random.
CREATE TABLE plays AS
WITH every AS (
    SELECT * FROM read_csv($file, delim = $delimiter, header = true, all_varchar = true)
    UNION ALL BY NAME
    SELECT
        NULL::VARCHAR AS label, NULL::VARCHAR AS is_like, NULL::VARCHAR AS is_hate, NULL::VARCHAR AS is_rand,
        NULL::VARCHAR AS tab
    WHERE false
)
SELECT
    user_id::BIGINT AS user_id,
    video_id::BIGINT AS video_id,
    time_ms::BIGINT AS time_ms,
    play_time_ms::BIGINT AS play_ms,
    duration_ms::BIGINT AS duration_ms,
    coalesce(label, is_like)::BIGINT = 1 AS liked,
    coalesce(label::BIGINT = 0, is_hate::BIGINT = 1, false) AS hated,
    is_follow::BIGINT = 1 AS followed,
    is_comment::BIGINT = 1 AS commented,
    is_forward::BIGINT = 1 AS forwarded,
    is_rand::BIGINT = 1 AS explored,
    tab
FROM every
