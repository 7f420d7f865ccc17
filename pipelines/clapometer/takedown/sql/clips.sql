-- The clip that is taken down, and those that the scope adds.
-- Parameters  tenant, clip, scope.
WITH requests AS NOT MATERIALIZED (
    SELECT
        $tenant AS tenant, $clip AS clip_id, CAST(NULL AS TIMESTAMPTZ) AS withdrawn_at, CAST(NULL AS VARCHAR) AS reason,
        $scope AS scope
)
SELECT DISTINCT clip_id
FROM (
    {sql:lake/sql/reached.sql}
)
ORDER BY clip_id
