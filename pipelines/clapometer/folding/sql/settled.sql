-- Impressions that are shown on a date which is not folded again, so that a replay on one that is changes nothing.
-- Reads  outcomes, events, refresh_dates.
SELECT tenant, impression_id
FROM outcomes
    ANTI JOIN refresh_dates USING (shown_date)
    SEMI JOIN (
        SELECT tenant, impression_id
        FROM events
        WHERE type = 'impression' AND CAST(time AT TIME ZONE 'UTC' AS DATE) IN (SELECT shown_date FROM refresh_dates)
    ) USING (tenant, impression_id)
