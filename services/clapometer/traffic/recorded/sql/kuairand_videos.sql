-- Author and kind of each video that is known; a video that is there twice stays so, and counts once in the clips.
INSERT INTO videos
SELECT video_id, author_id, video_type = 'AD' AS is_ad
FROM typed
