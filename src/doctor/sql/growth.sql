-- What should stay of one size, and grows.

create function @extschema@.operations_doctor_growth()
returns table (code text, severity text, evidence text, next_command text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $function$
declare
    -- The daily job keeps seven days.
    kept constant interval := interval '9 days';
    oldest timestamptz;
begin
    -- A replica counts no dead rows of its own, and its history is the primary's.
    if pg_is_in_recovery() then
        return;
    end if;

    select min(h.finished_at) into oldest
    from @extschema@.operations_job j
    cross join lateral (
        select d.finished_at
        from @extschema@.operations_job_run_details d
        where d.job_name = j.job_name
        order by d.finished_at
        limit 1
    ) h;
    -- Else operations_doctor_jobs() says so.
    if has_function_privilege('@extschema@.operations_pg_cron_jobs()', 'EXECUTE') then
        oldest := least(oldest, (select min(j.oldest) from @extschema@.operations_pg_cron_jobs() j));
    end if;
    return query
    select 'history_grows', 'degraded',
           format('the oldest run in the jobs'' history is of %s, and a daily job should keep 7 days', oldest::date),
           'call @extschema@.operations_prune_job_history();'
    where oldest < clock_timestamp() - kept;

    return query
    select 'catalogs_grow', 'degraded',
           format('%s has %s dead rows and %s live ones (%s), last vacuumed %s', t.relname, t.n_dead_tup, t.n_live_tup,
                  pg_size_pretty(pg_total_relation_size(t.relid)), coalesce(greatest(t.last_vacuum, t.last_autovacuum)::text, 'never')),
           format('select * from @extschema@.operations_doctor_vacuum(); vacuum (verbose) pg_catalog.%I;', t.relname)
    from pg_stat_sys_tables t
    where t.schemaname = 'pg_catalog' and t.n_dead_tup > 50000 + 2 * t.n_live_tup
    order by t.n_dead_tup desc
    limit 3;

    return query
    select 'delta_grows', 'degraded',
           format('operations_delta has %s rows and %s dead ones (%s): change_status() folds it and vacuum cleans it', t.n_live_tup,
                  t.n_dead_tup, pg_size_pretty(pg_total_relation_size(t.relid))),
           'call @extschema@.change_status(); vacuum @extschema@.operations_delta;'
    from pg_stat_user_tables t
    where t.relid = '@extschema@.operations_delta'::regclass and t.n_live_tup + t.n_dead_tup > 1000000;
end
$function$;

comment on function @extschema@.operations_doctor_growth() is
    'The part of operations_doctor() about what should not grow: the jobs'' history, the catalogs, operations_delta.';

revoke all on function @extschema@.operations_doctor_growth() from public;
