-- By how many events the ledger fails to add up: 0 in a lake at rest.
SELECT
    coalesce(sum(abs(received - stored - duplicate - rejected - suppressed)), 0)
    + abs(coalesce(sum(stored), 0) - (SELECT count(*) FROM events))
    + abs(coalesce(sum(rejected + conflict), 0) - (SELECT count(*) FROM rejected))
FROM ledger;
