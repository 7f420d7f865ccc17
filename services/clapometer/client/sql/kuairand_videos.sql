-- Author and kind of each video that is known.
CREATE TABLE videos AS
SELECT
    video_id::BIGINT AS video_id,
    any_value(author_id::BIGINT) AS author_id,
    bool_or(video_type = 'AD') AS is_ad
FROM read_csv($file, header = true, all_varchar = true)
GROUP BY ALL
