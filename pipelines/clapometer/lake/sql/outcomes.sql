-- One row per impression: everything it came to.
--
-- Reads  events         any order, repeated anyhow, split anyhow
--        refresh_dates  (shown_date) the partitions to fold
--        settled        (tenant, impression_id) known to be shown on a date that is not folded
--        shared_orders  what `shared_orders.sql` gives, of all events
--
-- Every choice is the first or the last in a total order of what is chosen from, and every sum is exact, so that the same events give
-- the same rows however they arrive. What answers an impression cannot be received before it was shown; two days
-- leave room for wrong clocks and let a refresh skip everything received earlier. What answers an impression that counts has to
-- be vouched for like it.
WITH
showings AS NOT MATERIALIZED (
    SELECT
        tenant, impression_id, clip_id, viewer_id, session_id, slate_id, position, surface, policy_id, propensity,
        candidates, explored, experiment, audience, locale, device_class, muted_start, autoplay,
        time AS shown_at, trust, CAST(time AT TIME ZONE 'UTC' AS DATE) AS shown_date, source, time, client_time
    FROM events
    WHERE type = 'impression'
),
repeated AS MATERIALIZED (
    SELECT tenant, impression_id
    FROM events
    WHERE type = 'impression'
    GROUP BY ALL
    HAVING count(*) > 1
),
shown AS NOT MATERIALIZED (
    SELECT * EXCLUDE (source, time, client_time) FROM showings ANTI JOIN repeated USING (tenant, impression_id)
    UNION ALL
    SELECT * EXCLUDE (source, time, client_time, order_us) FROM (
        SELECT DISTINCT ON (tenant, impression_id) *
        FROM (
            SELECT
                *,
                {sql:lake/sql/order_us.sql} AS order_us
            FROM showings SEMI JOIN repeated USING (tenant, impression_id)
            WINDOW clock AS (PARTITION BY tenant, impression_id, source)
        )
        -- a forged copy must not displace the impression that was offered
        ORDER BY
            trust NOT IN {vouched}, order_us, shown_at, trust, clip_id, viewer_id, session_id, slate_id,
            position, surface, policy_id, propensity, candidates, explored, experiment, audience, locale, device_class,
            muted_start, autoplay
    )
),
folded AS NOT MATERIALIZED (
    SELECT *
    FROM shown
        SEMI JOIN refresh_dates USING (shown_date)
        ANTI JOIN settled USING (tenant, impression_id)
),
keys AS MATERIALIZED (
    SELECT tenant, impression_id, shown_at, trust IN {vouched} AS vouched FROM folded
),
watched AS (
    SELECT
        tenant, impression_id,
        max(CASE WHEN played_segments IS NULL THEN watched_ms ELSE list_reduce(
            -- [[start, end], …]: the length of their union; the accumulator is [covered, end so far]
            list_prepend(CAST([0, 0] AS BIGINT[]), list_sort(CAST(played_segments AS BIGINT[][]))),
            lambda sum, next: [
                sum[1] + greatest(0, next[2] - greatest(next[1], sum[2])), greatest(sum[2], next[2])
            ]
        )[1] END) AS watched_ms,
        max(total_ms) AS total_ms, max(muted_ms) AS muted_ms, max(paused_ms) AS paused_ms, max(loops) AS loops,
        max(max_position_ms) AS max_position_ms,
        -- numbers only grow: the largest was said last, whatever the clocks say
        arg_max(
            end_reason,
            (end_reason != 'heartbeat', coalesce(total_ms, watched_ms, 0), coalesce(watched_ms, 0), client_time, end_reason)
        ) AS end_reason,
        max(time) AS last_at
    FROM events JOIN keys USING (tenant, impression_id)
    WHERE type = 'watched' AND received_at >= shown_at - INTERVAL 2 DAY
        AND NOT (vouched AND trust = 'unvouched')
    GROUP BY ALL
),
reactions AS (
    SELECT
        tenant, impression_id, reaction, time, coalesce(undone, false) AS undone,
        {sql:lake/sql/order_us.sql} AS order_us
    FROM events JOIN keys USING (tenant, impression_id)
    WHERE type = 'reacted' AND received_at >= shown_at - INTERVAL 2 DAY
        AND NOT (vouched AND trust = 'unvouched')
    WINDOW clock AS (PARTITION BY tenant, impression_id, source)
),
latest_reactions AS (
    -- what was undone at the same instant was there to be undone
    SELECT tenant, impression_id, reaction, arg_max(NOT undone, (order_us, undone)) AS stands, max(time) AS last_at
    FROM reactions
    GROUP BY ALL
),
reacted AS (
    SELECT
        tenant, impression_id,
        bool_or(stands AND reaction = 'like') AS liked,
        bool_or(stands AND reaction = 'save') AS saved,
        bool_or(stands AND reaction = 'share') AS shared,
        bool_or(stands AND reaction = 'comment') AS commented,
        bool_or(stands AND reaction = 'follow') AS followed,
        bool_or(stands AND reaction = 'dislike') AS disliked,
        bool_or(stands AND reaction = 'hide') AS hidden,
        bool_or(stands AND reaction = 'not_interested') AS not_interested,
        bool_or(stands AND reaction = 'report') AS reported,
        max(last_at) AS last_at
    FROM latest_reactions
    GROUP BY ALL
),
conversions AS MATERIALIZED (
    SELECT
        tenant, impression_id, kind, value, currency, order_id, trust, source, id, time,
        {sql:lake/sql/order_us.sql} AS order_us
    FROM events JOIN keys USING (tenant, impression_id)
    WHERE type = 'converted' AND received_at >= shown_at - INTERVAL 2 DAY
        AND NOT (vouched AND trust = 'unvouched')
    WINDOW clock AS (PARTITION BY tenant, impression_id, source)
),
money AS (
    SELECT
        tenant, impression_id, impression_id AS claimed_by, kind, value, currency, trust, source, id, order_us,
        CASE
            WHEN order_id IS NOT NULL THEN 'order ' || order_id
            WHEN kind = 'purchase' AND coalesce(value >= 0, true) THEN 'event ' || id || ' of ' || source
        END AS order_key
    FROM conversions ANTI JOIN shared_orders USING (tenant, order_id)
    WHERE kind IN ('purchase', 'refund') AND trust <> 'unconfirmed'
    UNION ALL
    SELECT
        tenant, impression_id, claimed_by, kind, value, currency, trust, source, id, order_us,
        'order ' || order_id AS order_key
    FROM shared_orders SEMI JOIN keys USING (tenant, impression_id)
),
order_sums AS MATERIALIZED (
    {sql:lake/sql/order_sums.sql}
),
orders AS (
    SELECT
        tenant, impression_id, order_key, currency, paid, sum_of_order.whole,
        CASE WHEN sum_of_order.whole THEN 0 ELSE greatest(0, paid - coalesce(refunded, 0)) END AS net
    FROM order_sums JOIN (
        SELECT tenant, impression_id, order_key, bool_or(refunded_whole) AS whole, bool_or(bought) AS bought
        FROM order_sums
        WHERE order_key IS NOT NULL
        GROUP BY ALL
    ) AS sum_of_order USING (tenant, impression_id, order_key)
    WHERE order_sums.bought
),
-- amounts of two currencies neither add up nor compare: the purse of most orders is kept
purses AS (
    SELECT
        tenant, impression_id,
        max({'orders': orders, 'currency': currency, 'revenue': revenue}) AS purse
    FROM (
        SELECT tenant, impression_id, currency, sum(net) AS revenue, count(*) AS orders
        FROM orders
        WHERE paid IS NOT NULL
        GROUP BY ALL
    )
    GROUP BY ALL
),
bought AS (
    -- an order of which all was given back was no purchase
    SELECT tenant, impression_id, bool_or(stands) AS purchased
    FROM (
        SELECT
            tenant, impression_id, order_key,
            NOT bool_or(whole) AND (coalesce(sum(paid), 0) = 0 OR sum(net) > 0) AS stands
        FROM orders
        GROUP BY ALL
    )
    GROUP BY ALL
),
-- what names no order is taken off what the impression brought
unnamed_refunds AS (
    SELECT tenant, impression_id, currency, refunded, refunded_whole
    FROM order_sums
    WHERE order_key IS NULL
),
revenues AS (
    SELECT
        tenant, impression_id, any_value(purchased) AS purchased, any_value(purse.currency) AS currency,
        any_value(purse.revenue) AS paid, coalesce(bool_or(refunded_whole), false) AS whole,
        CASE
            WHEN coalesce(bool_or(refunded_whole), false) THEN 0
            ELSE greatest(0, any_value(purse.revenue) - coalesce(sum(refunded) FILTER (
                unnamed_refunds.currency = purse.currency
            ), 0))
        END AS revenue
    FROM bought
        LEFT JOIN purses USING (tenant, impression_id)
        LEFT JOIN unnamed_refunds USING (tenant, impression_id)
    GROUP BY ALL
),
converted AS (
    SELECT
        tenant, impression_id, bool_or(kind = 'click') AS clicked,
        bool_or(kind = 'visual_search') AS visual_searched, bool_or(kind = 'add_to_cart') AS carted,
        max(time) AS last_at
    FROM conversions
    GROUP BY ALL
)
SELECT
    f.tenant, f.impression_id, f.clip_id, f.viewer_id, f.session_id, f.slate_id, f.position, f.surface, f.policy_id,
    f.propensity, f.candidates, coalesce(f.explored, false) AS explored, f.experiment, f.audience, f.locale,
    f.device_class, f.muted_start, f.autoplay, f.shown_at, f.trust,
    w.watched_ms, w.total_ms, w.muted_ms, w.paused_ms, w.loops, w.max_position_ms, w.end_reason,
    coalesce(r.liked, false) AS liked, coalesce(r.saved, false) AS saved, coalesce(r.shared, false) AS shared,
    coalesce(r.commented, false) AS commented, coalesce(r.followed, false) AS followed,
    coalesce(r.disliked, false) AS disliked, coalesce(r.hidden, false) AS hidden,
    coalesce(r.not_interested, false) AS not_interested, coalesce(r.reported, false) AS reported,
    coalesce(c.clicked, false) AS clicked, coalesce(c.visual_searched, false) AS visual_searched,
    coalesce(c.carted, false) AS carted,
    coalesce(m.purchased AND NOT m.whole AND NOT (coalesce(m.paid, 0) > 0 AND m.revenue = 0), false) AS purchased,
    CAST(CASE WHEN m.paid IS NOT NULL THEN m.revenue END AS DOUBLE) AS revenue, m.currency,
    greatest(f.shown_at, w.last_at, r.last_at, c.last_at) AS last_event_at, f.shown_date
FROM folded f
    LEFT JOIN watched w USING (tenant, impression_id)
    LEFT JOIN reacted r USING (tenant, impression_id)
    LEFT JOIN converted c USING (tenant, impression_id)
    LEFT JOIN revenues m USING (tenant, impression_id)
