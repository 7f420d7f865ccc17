-- From shown to bought: how many impressions reach each stage.
CREATE VIEW funnel AS
SELECT
    tenant,
    stage,
    reached[stage].name AS name,
    reached[stage].impressions AS impressions,
    reached[stage].impressions / nullif(reached[1].impressions, 0) AS share_of_shown,
    reached[stage].impressions / nullif(reached[stage - 1].impressions, 0) AS share_of_previous
FROM (
    SELECT
        tenant,
        [
            {'name': 'shown', 'impressions': count(*)},
            {'name': 'started', 'impressions': count(*) FILTER (started)},
            {'name': 'viewed 3 s', 'impressions': count(*) FILTER (viewed_3s)},
            {'name': 'completed', 'impressions': count(*) FILTER (completed)},
            {'name': 'positive reaction', 'impressions': count(*) FILTER (liked_it)},
            {'name': 'clicked', 'impressions': count(*) FILTER (clicked)},
            {'name': 'added to cart', 'impressions': count(*) FILTER (carted)},
            {'name': 'purchased', 'impressions': count(*) FILTER (purchased)}
        ] AS reached
    FROM measures
    WHERE counted
    GROUP BY tenant
), unnest(range(1, 9)) AS stages(stage);
COMMENT ON VIEW funnel IS
    'From shown to bought: the impressions that reach each stage, of those that count. A stage can be reached past the one before.';
