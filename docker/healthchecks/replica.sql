-- What keeps the replica from being healthy, one reason a row. A replica can answer queries and be long dead: only a WAL
-- receiver that has lately heard from the primary proves that it follows.
select 'this server was promoted: it follows no primary'
where not pg_catalog.pg_is_in_recovery()
union all
select 'not streaming from the primary'
where pg_catalog.pg_is_in_recovery()
  and not exists (
    select
    from pg_catalog.pg_stat_wal_receiver
    where status = 'streaming'
      and last_msg_receipt_time > pg_catalog.clock_timestamp() - interval '4 seconds'
);
