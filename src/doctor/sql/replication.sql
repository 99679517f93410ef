-- What a primary knows about those who follow it, and a replica about its primary. Both ends lie when asked alone, so the
-- program operations-lab asks both and compares.

create function @extschema@.operations_doctor_replication()
returns table (code text, severity text, evidence text, next_command text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $function$
declare
    receiver record;
    silence interval;
    -- The receiver asks for a sign of life after half of wal_receiver_timeout, and gives up after all of it.
    patience interval := case when current_setting('wal_receiver_timeout') = '0' then interval '30 s'
                              else 0.7 * current_setting('wal_receiver_timeout')::interval end;
    replayed_at timestamptz := pg_last_xact_replay_timestamp();
begin
    if not pg_is_in_recovery() then
        return query
        select 'no_replica', 'degraded', 'no replica streams from this primary', 'select slot_name, active, wal_status from pg_replication_slots; -- then start a replica: its log says why it does not follow'
        where not exists (select from pg_stat_replication r where r.state in ('streaming', 'catchup'));

        return query
        select 'slot_lost', 'broken',
               format('slot %s has lost WAL that its replica needs: the replica must be cloned anew', s.slot_name),
               format('select pg_drop_replication_slot(%L); -- then clone the replica anew, unless it is gone for good', s.slot_name)
        from pg_replication_slots s
        where s.wal_status = 'lost' and not s.temporary;

        return query
        select 'slot_inactive', case when s.restart_lsn is null then 'info' else 'degraded' end,
               format('nobody uses slot %s, for which %s of WAL is kept', s.slot_name,
                      coalesce(pg_size_pretty(pg_wal_lsn_diff(pg_current_wal_lsn(), s.restart_lsn)), 'none')),
               format('select * from pg_replication_slots where slot_name = %L; -- then start its replica, or drop the slot if it is gone for good', s.slot_name)
        from pg_replication_slots s
        where not s.active and not s.temporary and s.wal_status is distinct from 'lost';

        return query
        select 'slot_nearly_lost', 'degraded',
               format('slot %s: wal_status %s, %s may be written before it is lost (max_slot_wal_keep_size = %s)', s.slot_name,
                      s.wal_status, pg_size_pretty(greatest(s.safe_wal_size, 0)), current_setting('max_slot_wal_keep_size')),
               format('alter system set max_slot_wal_keep_size = ''%s MB''; select pg_reload_conf(); -- unless the replica catches up',
                      2 * (select g.setting::bigint from pg_settings g where g.name = 'max_slot_wal_keep_size'))
        from pg_replication_slots s
        where s.wal_status <> 'lost' and not s.temporary
          and (s.wal_status = 'unreserved'
               or s.safe_wal_size < 0.25 * 1024 * 1024 * (select g.setting::bigint from pg_settings g where g.name = 'max_slot_wal_keep_size'));

        return query
        select 'wal_piles_up', 'degraded',
               format('pg_wal holds %s; max_wal_size, wal_keep_size and max_slot_wal_keep_size together allow %s',
                      pg_size_pretty(w.size), pg_size_pretty(w.allowed)),
               'select slot_name, active, wal_status, restart_lsn from pg_replication_slots;'
        from (
            select (select sum(f.size) from pg_ls_waldir() f) as size,
                   sum(greatest(g.setting::bigint, 0) * 1024 * 1024)::bigint as allowed
            from pg_settings g
            where g.name in ('max_wal_size', 'wal_keep_size', 'max_slot_wal_keep_size')
        ) w
        where w.size > 1.5 * w.allowed;
        return;
    end if;

    select r.* into receiver from pg_stat_wal_receiver r;
    silence := clock_timestamp() - receiver.last_msg_receipt_time;
    if receiver.status is distinct from 'streaming' then
        return query
        select 'receiver_missing', 'broken',
               format('the WAL receiver %s; replayed up to %s, whose last commit is %s old',
                      coalesce('is ' || receiver.status, 'does not run'), pg_last_wal_replay_lsn(),
                      coalesce(date_trunc('milliseconds', clock_timestamp() - replayed_at)::text, 'of unknown age')),
               'show primary_conninfo; -- start that primary, or read in this server''s log why it cannot connect';
    elsif silence > patience then
        return query
        select 'receiver_silent', 'broken',
               format('the WAL receiver (pid %s) says streaming, but has heard nothing from %s:%s for %s s', receiver.pid,
                      receiver.sender_host, receiver.sender_port, round(extract(epoch from silence), 1)),
               format('kill -CONT %s # wakes it if it was stopped; else look at the network', receiver.pid);
    elsif pg_get_wal_replay_pause_state() = 'not paused' and replayed_at < clock_timestamp() - interval '60 s'
          and exists (select from @extschema@.operations_jobs() j where j.active and j.job_name = 'change_status') then
        return query
        select 'replica_behind', 'degraded',
               format('the last commit replayed is %s s old, and jobs write every few seconds; %s of WAL is received and not replayed',
                      round(extract(epoch from clock_timestamp() - replayed_at)),
                      pg_size_pretty(pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()))),
               'select * from pg_stat_recovery_prefetch; -- and see whether the jobs run on the primary';
    end if;

    return query
    select 'replay_paused', 'broken',
           format('replay is %s at %s; %s of WAL is received and not replayed', pg_get_wal_replay_pause_state(), pg_last_wal_replay_lsn(),
                  coalesce(pg_size_pretty(pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())), 'an unknown amount')),
           'select pg_wal_replay_resume();'
    where pg_get_wal_replay_pause_state() <> 'not paused';

    -- Only waits for locks say since when: those for snapshots and buffer pins show in the program's two looks.
    return query
    select 'replay_waits', 'degraded',
           format('replay has waited %s s for a lock on %s that process %s holds',
                  round(extract(epoch from clock_timestamp() - l.waitstart)), coalesce(c.relname, l.relation::text, l.locktype),
                  array_to_string(pg_blocking_pids(l.pid), ', ')),
           format('select pg_terminate_backend(%s);', (pg_blocking_pids(l.pid))[1])
    from pg_locks l
    join pg_stat_activity a on a.pid = l.pid and a.backend_type = 'startup'
    left join pg_class c on c.oid = l.relation and l.database = (select d.oid from pg_database d where d.datname = current_database())
    where not l.granted and l.waitstart < clock_timestamp() - interval '2 s';
end
$function$;

comment on function @extschema@.operations_doctor_replication() is
    'The part of operations_doctor() about slots and replicas of a primary, or the WAL receiver and the replay of a replica.';

revoke all on function @extschema@.operations_doctor_replication() from public;
