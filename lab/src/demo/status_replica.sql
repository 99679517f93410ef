-- Of a replica, asked where it is followed: another replica may lead it.
with here as (
    select case when pg_is_in_recovery() then pg_last_wal_receive_lsn() else pg_current_wal_lsn() end as written
)
select coalesce(
    (select format('%s, %s and %s s behind', state, pg_size_pretty(pg_wal_lsn_diff(written, replay_lsn)),
                   round(extract(epoch from coalesce(replay_lag, '0')), 1))
     from pg_stat_replication join pg_replication_slots on active_pid = pid cross join here
     where slot_name = SLOT and usename = FOLLOWER and state <> 'backup'),
    (select format('not streaming; its slot is %s, and the %s keeps %s of WAL for it', coalesce(wal_status, 'empty'),
                   case when pg_is_in_recovery() then 'first replica' else 'primary' end,
                   coalesce(pg_size_pretty(pg_wal_lsn_diff(written, restart_lsn)), 'nothing'))
     from pg_replication_slots cross join here where slot_name = SLOT),
    'not streaming, and it has no slot')
