-- The preference labels of each tenant's latest run that succeeded.
CREATE VIEW comparisons_current AS
SELECT comparisons.*
FROM comparisons
JOIN (
    SELECT tenant, max(ROW(started_at, run_id)) AS latest
    FROM runs
    WHERE status = 'succeeded'
    GROUP BY ALL
) AS newest
    ON newest.tenant = comparisons.tenant
    AND newest.latest[2] = comparisons.run_id;
COMMENT ON VIEW comparisons_current IS 'The preference labels of the latest run: two clips of one prompt, and how likely the left one is better.';
