-- Each clip once, by its first impression.
SELECT
    video_id,
    any_value(duration_ms) AS duration_ms,
    min(time_ms) AS first_ms,
    any_value(author_id) AS author_id,
    coalesce(bool_or(is_ad), false) AS is_ad
FROM plays
LEFT JOIN videos USING (video_id)
WHERE duration_ms <> 0
GROUP BY video_id
ORDER BY first_ms, video_id
