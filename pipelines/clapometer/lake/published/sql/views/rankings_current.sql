-- The rankings of each tenant's latest run that succeeded.
CREATE VIEW rankings_current AS
SELECT rankings.*
FROM rankings
JOIN (
    SELECT tenant, max(ROW(started_at, run_id)) AS latest
    FROM runs
    WHERE status = 'succeeded'
    GROUP BY ALL
) AS newest
    ON newest.tenant = rankings.tenant
    AND newest.latest[2] = rankings.run_id;
COMMENT ON VIEW rankings_current IS 'The latest ranking of model versions, prompts and templates, per segment.';
