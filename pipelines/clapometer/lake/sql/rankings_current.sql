-- The latest ranking of each tenant and subject.
CREATE VIEW rankings_current AS
SELECT rankings.*
FROM rankings
JOIN (
    SELECT tenant, subject, max(ROW(created_at, run_id)) AS latest
    FROM rankings
    GROUP BY ALL
) AS newest
    ON newest.tenant = rankings.tenant
    AND newest.subject = rankings.subject
    AND newest.latest = ROW(rankings.created_at, rankings.run_id);
COMMENT ON VIEW rankings_current IS 'The latest ranking of model versions, prompts and templates, per segment.';
