-- What the file holds; image posts have duration 0 and are no clips.
SELECT
    count(*) AS total,
    count(*) FILTER (WHERE duration_ms = 0) AS images,
    count(*) FILTER (WHERE duration_ms <> 0)
        - count(DISTINCT (user_id, video_id, time_ms)) FILTER (WHERE duration_ms <> 0) AS repeated,
    count(*) FILTER (WHERE duration_ms = 0)
        - count(DISTINCT (user_id, video_id, time_ms)) FILTER (WHERE duration_ms = 0) AS repeated_images,
    count(DISTINCT video_id) FILTER (WHERE duration_ms <> 0) AS clips,
    coalesce(
        sum(liked::BIGINT + hated::BIGINT + followed::BIGINT + commented::BIGINT + forwarded::BIGINT)
            FILTER (WHERE duration_ms <> 0), 0
    )::BIGINT AS reactions,
    count(*) FILTER (WHERE duration_ms <> 0 AND explored) AS explored,
    max(time_ms) AS last_ms
FROM plays
