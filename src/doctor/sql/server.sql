-- Settings and state of the server itself.

create function @extschema@.operations_doctor_server()
returns table (code text, severity text, evidence text, next_command text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $function$
begin
    return query
    select 'connections_nearly_full', 'degraded',
           format('%s of the %s connections that ordinary roles may use are taken, %s of them idle in a transaction',
                  s.used, l.usable, s.idle_in_transaction),
           'select pid, usename, application_name, state, state_change from pg_stat_activity where backend_type = ''client backend'' order by state_change;'
    from (
        select count(*) as used, count(*) filter (where a.state like 'idle in transaction%') as idle_in_transaction
        from pg_stat_activity a
        where a.backend_type = 'client backend'
    ) s
    cross join (
        select current_setting('max_connections')::integer
               - current_setting('superuser_reserved_connections')::integer
               - coalesce(current_setting('reserved_connections', true), '0')::integer as usable
    ) l
    where s.used >= 0.9 * l.usable;

    return query
    select 'checksum_failures', 'broken',
           format('%s damaged pages were read in database %s, the last at %s', d.checksum_failures,
                  coalesce(d.datname, '(shared)'), d.checksum_last_failure),
           'select datname, checksum_failures, checksum_last_failure from pg_stat_database where checksum_failures > 0; -- clone a replica anew, restore a primary'
    from pg_stat_database d
    where d.checksum_failures > 0;

    -- A crash of one process ends all sessions and loses nothing; seconds later nothing else shows that it was. The postmaster
    -- starts its checkpointer with itself, and again only after a crash.
    return query
    select 'crash_recovered', 'info',
           format('a process of this server crashed: all sessions were ended, and at %s all was started again (the server itself runs since %s)',
                  date_trunc('milliseconds', a.backend_start), date_trunc('milliseconds', pg_postmaster_start_time())),
           'select backend_type, pid, backend_start from pg_stat_activity order by backend_start; -- this server''s log names the process'
    from pg_stat_activity a
    where a.backend_type = 'checkpointer' and a.backend_start > pg_postmaster_start_time() + interval '10 s'
      and a.backend_start > clock_timestamp() - interval '1 h';

    return query
    select 'checksums_off', 'info', 'data_checksums is off: a damaged page is read as if it were good',
           'pg_checksums --enable --pgdata "$PGDATA" # while this server is stopped'
    where current_setting('data_checksums') = 'off';

    return query
    select 'rewind_impossible', 'info', 'data_checksums and wal_log_hints are off: pg_rewind will refuse, so that an old primary must be cloned anew',
           'alter system set wal_log_hints = on; -- then restart'
    where current_setting('data_checksums') = 'off' and current_setting('wal_log_hints') = 'off';

    return query
    select 'not_durable', 'degraded', format('%s is off: a crash of the machine can damage the data', s.name),
           format('alter system reset %s; select pg_reload_conf();', s.name)
    from unnest(array['fsync', 'full_page_writes']) s (name)
    where current_setting(s.name) = 'off';

    return query
    select 'writes_refused', 'broken', format('default_transaction_read_only is on for %s', current_user),
           'alter system reset default_transaction_read_only; select pg_reload_conf();'
    where current_setting('default_transaction_read_only')::boolean and not pg_is_in_recovery();

    return query
    select 'restart_pending', 'info', format('changed, and waits for a restart: %s', string_agg(s.name, ', ' order by s.name)),
           'pg_ctl restart --pgdata "$PGDATA"'
    from pg_settings s
    -- What the command line sets is said to be pending for as long as the file says something else.
    where s.pending_restart and s.source <> 'command line'
    having count(*) > 0;

    return query
    select 'settings_contradict', 'degraded', c.evidence, c.next_command
    from (values
        (pg_is_in_recovery() and current_setting('hot_standby_feedback')::boolean
             and current_setting('wal_receiver_status_interval') = '0',
         'hot_standby_feedback is on, but wal_receiver_status_interval = 0: the feedback is never sent',
         'alter system reset wal_receiver_status_interval; select pg_reload_conf();'),
        (pg_is_in_recovery() and current_setting('max_standby_streaming_delay') = '-1',
         'max_standby_streaming_delay = -1: one reader can hold back replay for ever',
         'alter system reset max_standby_streaming_delay; select pg_reload_conf();'),
        (not pg_is_in_recovery() and current_setting('autovacuum')::boolean and not current_setting('track_counts')::boolean,
         'autovacuum is on, but track_counts is off: it never learns that there is something to do',
         'alter system reset track_counts; select pg_reload_conf();')
    ) c (contradicts, evidence, next_command)
    where c.contradicts;
end
$function$;

comment on function @extschema@.operations_doctor_server() is
    'The part of operations_doctor() about the settings and the state of the server itself.';

revoke all on function @extschema@.operations_doctor_server() from public;
