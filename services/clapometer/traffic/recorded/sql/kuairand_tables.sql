-- What is read of a KuaiRand log, and of its video features where they are there.
CREATE TABLE plays (
    user_id BIGINT, video_id BIGINT, time_ms BIGINT, play_ms BIGINT, duration_ms BIGINT, liked BOOLEAN, hated BOOLEAN,
    followed BOOLEAN, commented BOOLEAN, forwarded BOOLEAN, explored BOOLEAN, tab BIGINT
);
CREATE TABLE videos (video_id BIGINT, author_id BIGINT, is_ad BOOLEAN)
