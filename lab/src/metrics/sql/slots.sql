-- What is kept for each replica, and how much more may be written before its slot is lost.
select slot_name::text as slot,
       pg_wal_lsn_diff(case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end, restart_lsn)::float8
           as slot_retained_bytes,
       safe_wal_size::float8 as slot_safe_bytes,
       active::int::float8 as slot_active,
       (wal_status is not distinct from 'lost')::int::float8 as slot_lost
from pg_replication_slots
where not temporary
order by slot_name
limit 20
