-- Every impression of a clip by time, the repeated ones repeated.
SELECT
    user_id, video_id, time_ms, play_ms, duration_ms, liked, hated, followed, commented, forwarded, explored, tab
FROM plays
WHERE duration_ms <> 0
ORDER BY time_ms, user_id, video_id
