-- The rows of a KuaiRand file, typed; a missing column or a value of another type is an error.
CREATE TABLE plays AS
SELECT
    user_id::BIGINT AS user_id,
    video_id::BIGINT AS video_id,
    time_ms::BIGINT AS time_ms,
    play_time_ms::BIGINT AS play_ms,
    duration_ms::BIGINT AS duration_ms,
    label::BIGINT = 1 AS liked,
    is_follow::BIGINT = 1 AS followed,
    is_comment::BIGINT = 1 AS commented,
    is_forward::BIGINT = 1 AS forwarded
FROM read_csv($file, delim = '\t', header = true, all_varchar = true)
