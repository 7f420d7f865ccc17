-- Stands in where the file of video features is not there.
CREATE TABLE videos (video_id BIGINT, author_id BIGINT, is_ad BOOLEAN)
