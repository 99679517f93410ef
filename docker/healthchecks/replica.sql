-- What keeps the replica from being healthy, one reason a row. A replica can answer queries and be long dead: only a WAL
-- receiver that has lately heard from the primary proves that it follows.
SELECT 'this server was promoted: it follows no primary'
WHERE NOT pg_catalog.pg_is_in_recovery()
UNION ALL
SELECT 'not streaming from the primary'
WHERE pg_catalog.pg_is_in_recovery()
  AND NOT EXISTS (
    SELECT
    FROM pg_catalog.pg_stat_wal_receiver
    WHERE status = 'streaming'
      AND last_msg_receipt_time > pg_catalog.clock_timestamp() - interval '4 seconds'
);
