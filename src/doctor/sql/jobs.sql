-- The jobs, whoever runs them.

create function @extschema@.operations_doctor_jobs()
returns table (code text, severity text, evidence text, next_command text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $function$
declare
    worker_jobs boolean := exists (select from @extschema@.operations_job);
    preloaded boolean;
    worker_database text := current_setting('operations_ext.database', true);
    restart timestamptz := pg_postmaster_start_time();
begin
    -- A replica runs none; what it knows about them is the primary's to say. A worker node of Citus runs none either.
    if pg_is_in_recovery() or exists (select from @extschema@.operations_citus_tables() c where c.relation is null) then
        return;
    end if;

    return query
    select 'job_missing', w.severity, format('the job %s is not scheduled in database %s', w.job_name, current_database()),
           'call @extschema@.operations_schedule();'
    from (values ('operation_insert_one', 'broken'), ('change_status', 'broken'),
                 ('operations_maintain_partitions', 'degraded'), ('operations_prune_job_history', 'degraded')) w (job_name, severity)
    where not exists (select from @extschema@.operations_jobs() j where j.job_name = w.job_name);

    return query
    select 'job_two_schedulers', 'broken',
           format('the job %s is run by %s', j.job_name, string_agg(j.scheduler || ' (' || j.schedule || ')', ' and ' order by j.scheduler)),
           'call @extschema@.operations_unschedule(); call @extschema@.operations_schedule();'
    from @extschema@.operations_jobs() j
    where j.active
    group by j.job_name
    having count(*) > 1;

    return query
    with job as (
        select j.*, case when j.schedule ~ '^[0-9]+ ?(ms|s|min|h|d|seconds?)$' and j.schedule !~ '^0+ ?[a-z]*$' then j.schedule::interval
                         else interval '1 day' end as every,
               case when j.job_name in ('operation_insert_one', 'change_status') then 'broken' else 'degraded' end as weight
        from @extschema@.operations_jobs() j
    ), judged as (
        select j.*, clock_timestamp() - greatest(j.last_started_at, restart,
                    -- One that was registered a moment ago has not run yet.
                    case when j.scheduler = 'worker' and current_setting('track_commit_timestamp')::boolean then (
                        select pg_xact_commit_timestamp(o.xmin) from @extschema@.operations_job o where o.job_name = j.job_name
                    ) end) as since,
               j.every + least(j.every, interval '2 h') + interval '5 s' as patience
        from job j
    )
    select case when not j.active then 'job_inactive' when j.last_status = 'failed' then 'job_failing' else 'job_late' end,
           j.weight,
           case when not j.active then format('the job %s (%s) is switched off', j.job_name, j.scheduler)
                when j.last_status = 'failed' then
                    format('the last run of %s (%s), at %s, failed (%s of %s kept runs did): %s', j.job_name, j.scheduler,
                           j.last_started_at, j.failures, j.runs, j.last_message)
                else format('the job %s (%s, every %s) %s', j.job_name, j.scheduler, j.schedule,
                            coalesce('ended its last run ' || round(extract(epoch from clock_timestamp() - j.last_finished_at)) || ' s ago', 'never ran'))
           end,
           case when not j.active and j.scheduler = 'worker' then
                    format('alter system reset operations_ext.%s; select pg_reload_conf();',
                           case j.job_name when 'change_status' then 'change_status_interval' else 'insert_interval' end)
                when not j.active then 'call @extschema@.operations_schedule();'
                when j.last_status = 'failed' then format('call @extschema@.%I(); -- shows the error in full', j.job_name)
                else 'select pid, backend_type, state, wait_event, query from pg_stat_activity where backend_type ~ ''operations_ext|pg_cron'';'
           end
    from judged j
    where not j.active or j.last_status = 'failed'
       or (j.since > j.patience
           and not exists (
               -- It runs right now, only for long: what it waits for is another finding, or none.
               select
               from pg_stat_activity a
               where a.backend_type = 'operations_ext ' || j.job_name and a.state = 'active'
                 and a.xact_start > clock_timestamp() - interval '60 s'
           ));

    if worker_jobs then
        -- An ordinary role may not read the setting; the missing process shows it, too.
        preloaded := not pg_has_role('pg_read_all_settings', 'usage') or current_setting('shared_preload_libraries') ~ '\moperations_ext\M';
        if not preloaded then
            return query
            select 'scheduler_missing', 'broken', 'the worker should run the jobs, but operations_ext is not in shared_preload_libraries',
                   format('alter system set shared_preload_libraries = %s; alter system set operations_ext.database = %L; -- then restart',
                          concat_ws(', ', nullif(current_setting('shared_preload_libraries'), ''), 'operations_ext'), current_database());
        elsif worker_database is distinct from current_database() and worker_database is not null then
            return query
            select 'job_wrong_database', 'broken',
                   format('the jobs are registered in database %s, but operations_ext.database is %L', current_database(), worker_database),
                   format('alter system set operations_ext.database = %L; select pg_reload_conf();', current_database());
        elsif pg_has_role('pg_read_all_stats', 'usage') then
            return query
            select 'scheduler_missing', 'broken', format('there is no process "%s"', p.process),
                   'select pid, backend_type, backend_start from pg_stat_activity where backend_type like ''operations_ext%''; -- it is started again within 5 s; the log says why it ended'
            from unnest(array['operations_ext operation_insert_one', 'operations_ext change_status', 'operations_ext maintenance']) p (process)
            where not exists (select from pg_stat_activity a where a.backend_type = p.process);
        end if;
    end if;

    if not @extschema@.operations_has_pg_cron() then
        return;
    end if;
    -- Who could ask before an update brought the function may not call it yet.
    if not has_function_privilege('@extschema@.operations_pg_cron_jobs()', 'EXECUTE') then
        return query
        select 'not_permitted', 'unknown', 'jobs: what pg_cron runs is not seen, for lack of EXECUTE on operations_pg_cron_jobs()',
               format('grant execute on function @extschema@.operations_pg_cron_jobs() to %I;', current_user);
        return;
    end if;

    return query
    select 'job_wrong_database', 'broken',
           format('pg_cron runs the job %s in database %s, not in %s', j.job_name, j.database, current_database()),
           'call @extschema@.operations_schedule();'
    from @extschema@.operations_pg_cron_jobs() j
    where j.database <> current_database();

    return query
    select 'job_overlaps', 'degraded',
           format('%s runs of %s are at work at once: processes %s', cardinality(j.running), j.job_name, array_to_string(j.running, ', ')),
           'select * from cron.job_run_details where end_time is null order by runid desc;'
    from @extschema@.operations_pg_cron_jobs() j
    where j.database = current_database() and cardinality(j.running) > 1;

    return query
    select 'scheduler_missing', 'broken', 'pg_cron should run the jobs, but its launcher does not run',
           format('alter system set shared_preload_libraries = %s; alter system set cron.database_name = %L; -- then restart',
                  concat_ws(', ', nullif((select g.setting from pg_settings g where g.name = 'shared_preload_libraries'), ''), 'pg_cron'), current_database())
    where pg_has_role('pg_read_all_stats', 'usage')
      and exists (select from @extschema@.operations_jobs() j where j.scheduler = 'pg_cron')
      and not exists (select from pg_stat_activity a where a.backend_type = 'pg_cron launcher');
end
$function$;

comment on function @extschema@.operations_doctor_jobs() is
    'The part of operations_doctor() about the jobs: missing, off, late, failing, overlapping, run twice, in the wrong database, without a scheduler.';

revoke all on function @extschema@.operations_doctor_jobs() from public;
