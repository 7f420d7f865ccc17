-- The preference labels of a run, the better clip as the chosen one; left_out says why one is not exported.
SELECT
    labels.*,
    coalesce(nullif(chosen.prompt_text, ''), nullif(rejected.prompt_text, '')) AS prompt,
    chosen.model AS chosen_model,
    rejected.model AS rejected_model,
    CASE
        WHEN chosen.clip_id IS NULL OR rejected.clip_id IS NULL THEN 'a clip is not registered any more'
        WHEN chosen.withdrawn OR rejected.withdrawn THEN 'a clip was taken down'
        WHEN NOT (chosen.training_allowed AND rejected.training_allowed) THEN 'training is not allowed for a clip'
        WHEN prompt IS NULL THEN 'the prompt has no text'
        WHEN result = 'tie' THEN 'a tie'
        WHEN labels.tier > $min_tier THEN 'of a weaker tier than asked for'
        WHEN posterior < $min_posterior THEN 'less certain than asked for'
    END AS left_out
FROM (
    SELECT
        prompt_id,
        result,
        tier,
        evidence,
        weight,
        if(p_left >= 0.5, left_clip_id, right_clip_id) AS chosen_clip_id,
        if(p_left >= 0.5, right_clip_id, left_clip_id) AS rejected_clip_id,
        greatest(p_left, 1 - p_left) AS posterior,
        if(p_left >= 0.5, margin, -margin) AS margin,
        if(p_left >= 0.5, left_impressions, right_impressions) AS chosen_evidence,
        if(p_left >= 0.5, right_impressions, left_impressions) AS rejected_evidence
    FROM comparisons
    WHERE run_id = $run AND tenant = $tenant
) AS labels
LEFT JOIN clips AS chosen ON chosen.tenant = $tenant AND chosen.clip_id = chosen_clip_id
LEFT JOIN clips AS rejected ON rejected.tenant = $tenant AND rejected.clip_id = rejected_clip_id
