-- Rows that one export has and another has not, or has otherwise.
WITH old AS (SELECT DISTINCT * FROM ({old})),
new AS (SELECT DISTINCT * FROM ({new}))
SELECT
    if(old.prompt_id IS NULL, 'added', 'changed') AS change,
    new.*
FROM new
LEFT JOIN old USING (prompt_id, {identity})
WHERE old.prompt_id IS NULL OR old IS DISTINCT FROM new
UNION ALL
SELECT 'removed', *
FROM old
ANTI JOIN new USING (prompt_id, {identity})
ORDER BY prompt_id, {identity}
