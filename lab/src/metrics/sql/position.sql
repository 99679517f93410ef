-- Where a server is in the WAL, and what a replica has heard and replayed. Positions are bytes since the beginning of the WAL.
select extract(epoch from pg_postmaster_start_time())::float8 as server_start_timestamp_seconds,
       case when pg_is_in_recovery() then
                coalesce((select received_tli from pg_stat_wal_receiver), (select timeline_id from pg_control_checkpoint()))::bigint
            else ('x' || lpad(left(pg_walfile_name(pg_current_wal_lsn()), 8), 16, '0'))::bit(64)::bigint
       end::float8 as timeline,
       case when pg_is_in_recovery() then null else pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0') end::float8 as wal_written_bytes_total,
       case when pg_is_in_recovery() then pg_wal_lsn_diff(pg_last_wal_receive_lsn(), '0/0') end::float8 as wal_received_bytes_total,
       case when pg_is_in_recovery() then pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0') end::float8 as wal_replayed_bytes_total,
       case when pg_is_in_recovery() then pg_is_wal_replay_paused()::int end::float8 as replay_paused,
       case when pg_is_in_recovery() then extract(epoch from pg_last_xact_replay_timestamp()) end::float8
           as last_replayed_commit_timestamp_seconds,
       (select extract(epoch from last_msg_receipt_time) from pg_stat_wal_receiver)::float8 as receiver_last_message_timestamp_seconds
