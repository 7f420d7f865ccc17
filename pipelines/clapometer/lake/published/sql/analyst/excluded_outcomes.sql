-- The outcomes that did not count in each tenant's latest run, with the reason.
-- Reasons and their order are those of a run (`screened.reason`): the domain's `Exclusion`.
CREATE VIEW excluded_outcomes AS
WITH latest AS (
    SELECT tenant, max(ROW(started_at, run_id))[2] AS run_id
    FROM runs
    WHERE status = 'succeeded'
    GROUP BY ALL
),
left_out AS (SELECT screened.* FROM screened JOIN latest USING (tenant, run_id)),
reasons AS (
    SELECT
        outcomes.*,
        CASE
            WHEN outcomes.trust NOT IN {vouched} THEN {exclusion:UNTRUSTED}
            WHEN clips.clip_id IS NULL THEN {exclusion:UNREGISTERED}
            WHEN clip.item IS NOT NULL THEN clip.reason
            WHEN outcomes.viewer_id = clips.lineage_creator_id THEN {exclusion:OWN_VIEW}
            WHEN viewer.item IS NOT NULL THEN viewer.reason
            WHEN day.item IS NOT NULL THEN day.reason
            WHEN 1 / (outcomes.propensity * outcomes.candidates) > TRY_CAST(weight.item AS DOUBLE) THEN weight.reason
            WHEN abs(outcomes.revenue) > TRY_CAST(split_part(amount.item, ' ', 2) AS DOUBLE) THEN amount.reason
        END AS excluded_reason
    FROM outcomes
    JOIN latest ON latest.tenant = outcomes.tenant
    LEFT JOIN clips ON clips.tenant = outcomes.tenant AND clips.clip_id = outcomes.clip_id
    LEFT JOIN left_out AS clip
        ON clip.tenant = outcomes.tenant AND clip.item = outcomes.clip_id
        AND clip.subject = 'clip' AND clip.counts_for IS NULL
    LEFT JOIN left_out AS viewer
        ON viewer.tenant = outcomes.tenant AND viewer.item = outcomes.viewer_id AND viewer.subject = 'viewer'
    LEFT JOIN left_out AS day
        ON day.tenant = outcomes.tenant AND day.item = CAST(outcomes.shown_date AS VARCHAR) AND day.subject = 'day'
    LEFT JOIN left_out AS weight ON weight.tenant = outcomes.tenant AND weight.subject = 'weight'
    LEFT JOIN left_out AS amount
        ON amount.tenant = outcomes.tenant AND split_part(amount.item, ' ', 1) = outcomes.currency
        AND amount.subject = 'revenue'
)
SELECT * FROM reasons WHERE excluded_reason IS NOT NULL;
COMMENT ON VIEW excluded_outcomes IS 'Outcomes that did not count in the latest run, each with the reason.';
