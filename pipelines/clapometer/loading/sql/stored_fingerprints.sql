-- Who the events with these keys say they are, and the hash of what they say, by the DuckDB of today.
SELECT event_key, tenant, source, id, {kept_apart} AS kept_apart, payload_hash
FROM (SELECT * REPLACE ({payload_hash} AS payload_hash) FROM {events} WHERE event_key IN (SELECT unnest(?::BIGINT[])))
ORDER BY received_at, source, id;
