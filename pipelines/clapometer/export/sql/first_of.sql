-- Keeps the pairs that tell most of each of the groups.
QUALIFY row_number() OVER (PARTITION BY {group} ORDER BY weight DESC, chosen_clip_id, rejected_clip_id) <= {most}
