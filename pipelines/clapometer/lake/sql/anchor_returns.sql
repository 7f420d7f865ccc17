-- What a viewer did on a day, and whether that viewer was there again within $within days.
-- Reads  labelled (outcomes that count), scored (all). {means}: a mean per signal of the rule. Days whose time has
-- not passed are left out; of many viewers a share of 1 in $one_in is taken, always the same ones.
WITH days AS (
    SELECT viewer, day, {means}
    FROM labelled
    WHERE viewer % $one_in = 0
    GROUP BY ALL
),
seen AS (SELECT DISTINCT viewer, day FROM scored WHERE viewer % $one_in = 0 AND day IS NOT NULL),
back AS (
    SELECT DISTINCT d.viewer, d.day
    FROM days d JOIN seen n ON n.viewer = d.viewer AND n.day > d.day AND n.day <= d.day + $within
)
SELECT d.* EXCLUDE (day), b.viewer IS NOT NULL AS happened
FROM days d LEFT JOIN back b USING (viewer, day)
WHERE d.day + $within <= (SELECT max(day) FROM scored)
ORDER BY d.viewer, d.day
