-- What keeps vacuum from its work.

create function @extschema@.operations_doctor_vacuum()
returns table (code text, severity text, evidence text, next_command text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $function$
begin
    -- On a replica only what feedback tells the primary matters there.
    return query
    select 'vacuum_held_back', 'degraded',
           format('dead rows of the last %s transactions must stay for %s', h.xids, h.holder), h.next_command
    from (
        select age(a.backend_xmin) as xids, a.xact_start as since,
               format('process %s (%s, %s, %s, its transaction is %s s old)', a.pid, coalesce(a.usename, a.backend_type),
                      coalesce(nullif(a.application_name, ''), 'no application_name'), coalesce(a.state, 'no state'),
                      coalesce(round(extract(epoch from clock_timestamp() - a.xact_start))::text, '?')) as holder,
               format('select pg_terminate_backend(%s);', a.pid) as next_command
        from pg_stat_activity a
        where a.backend_xmin is not null and a.backend_type not in ('autovacuum worker', 'walsender')
          and (not pg_is_in_recovery() or current_setting('hot_standby_feedback')::boolean)
        union all
        select age(a.backend_xmin), null, format('the feedback of %s (%s), that is for its readers', r.application_name, coalesce(host(r.client_addr), 'local')),
               'select * from @extschema@.operations_doctor(); -- on that replica'
        from pg_stat_activity a
        join pg_stat_replication r on r.pid = a.pid
        where a.backend_xmin is not null
        union all
        select greatest(age(s.xmin), age(s.catalog_xmin)), null,
               format('slot %s (%s)', s.slot_name, case when s.active then 'active: readers of its replica' else 'inactive' end),
               case when s.active then 'select * from @extschema@.operations_doctor(); -- on its replica'
                    else format('select * from pg_replication_slots where slot_name = %L; -- then start its replica, or drop the slot', s.slot_name) end
        from pg_replication_slots s
        where coalesce(s.xmin, s.catalog_xmin) is not null and not pg_is_in_recovery()
        union all
        select age(p.transaction), p.prepared, format('the prepared transaction %s', p.gid), format('rollback prepared %L;', p.gid)
        from pg_prepared_xacts p
    ) h
    where h.xids > 100000 or h.since < clock_timestamp() - interval '15 min'
    order by h.xids desc
    limit 3;

    if pg_is_in_recovery() then
        return;
    end if;

    return query
    select 'prepared_transaction', 'degraded',
           format('transaction %s of %s in database %s was prepared %s s ago and holds its locks', p.gid, p.owner, p.database,
                  round(extract(epoch from clock_timestamp() - p.prepared))),
           format('rollback prepared %L; -- or commit prepared; in database %s', p.gid, p.database)
    from pg_prepared_xacts p
    where p.prepared < clock_timestamp() - interval '5 s';

    return query
    select 'autovacuum_off', 'degraded', 'autovacuum is off: dead rows stay, statistics age, and wraparound draws near',
           'alter system reset autovacuum; select pg_reload_conf();'
    where not current_setting('autovacuum')::boolean;

    return query
    select 'wraparound', case when w.xids > 1600000000 or w.multixacts > 1600000000 then 'broken' else 'degraded' end,
           format('database %s: its oldest xid is %s old, its oldest multixact %s; vacuum should have begun at autovacuum_freeze_max_age = %s; at 2 billion all writes end',
                  w.datname, w.xids, w.multixacts, current_setting('autovacuum_freeze_max_age')),
           format('vacuum (freeze, verbose); -- in database %s', w.datname)
    from (
        select d.datname, age(d.datfrozenxid) as xids, mxid_age(d.datminmxid) as multixacts
        from pg_database d
    ) w
    where w.xids > least(2.0 * current_setting('autovacuum_freeze_max_age')::bigint, 1000000000)
       or w.multixacts > least(2.0 * current_setting('autovacuum_multixact_freeze_max_age')::bigint, 1000000000)
    order by greatest(w.xids, w.multixacts) desc
    limit 1;
end
$function$;

comment on function @extschema@.operations_doctor_vacuum() is
    'The part of operations_doctor() about vacuum: who holds it back, whether it is off, prepared transactions, wraparound.';

revoke all on function @extschema@.operations_doctor_vacuum() from public;
