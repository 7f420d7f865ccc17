-- A row per pair.
SELECT
    prompt,
    chosen_clip_id AS chosen,
    rejected_clip_id AS rejected,
    weight,
    margin,
    posterior,
    tier,
    evidence,
    chosen_model,
    rejected_model,
    chosen_evidence,
    rejected_evidence,
    prompt_id,
    split
FROM (
    {capped}
)
