-- Clips of an export that may not be in one.
SELECT count(*)
FROM (SELECT DISTINCT {clips} AS clip_id FROM read_parquet([{files}])) AS exported
JOIN clips ON clips.tenant = $tenant AND clips.clip_id = exported.clip_id
WHERE withdrawn OR NOT training_allowed
