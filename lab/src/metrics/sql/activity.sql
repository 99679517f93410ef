-- Who waits, and the oldest transaction of a client or of a job. Without one its timestamp is now, so that its age is 0.
select count(*) filter (where wait_event_type = 'Lock')::float8 as sessions_waiting_for_locks,
       count(*) filter (where wait_event = 'SyncRep')::float8 as sessions_waiting_for_replicas,
       current_setting('max_connections')::float8 as connections_limit,
       extract(epoch from coalesce(min(xact_start) filter (where backend_type !~ '^(walsender|autovacuum|startup)'), clock_timestamp()))::float8
           as oldest_transaction_start_timestamp_seconds
from pg_stat_activity
where pid <> pg_backend_pid()
