-- The job list of the extension's own worker, for servers where pg_cron does not run the jobs.

create table @extschema@.operations_job (
    job_name text primary key,
    username name not null
);

comment on table @extschema@.operations_job is
    'The jobs that the extension''s worker runs. Filled by operations_schedule(), emptied by operations_unschedule().';
comment on column @extschema@.operations_job.job_name is 'The job, which is the name of the procedure it calls.';
comment on column @extschema@.operations_job.username is 'The role that the job runs as.';

create table @extschema@.operations_job_run_details (
    run_id bigint generated always as identity primary key,
    job_name text not null,
    started_at timestamptz not null,
    finished_at timestamptz not null default pg_catalog.clock_timestamp(),
    status text not null check (status in ('succeeded', 'failed')),
    return_message text
);

create index on @extschema@.operations_job_run_details (job_name, finished_at);

comment on table @extschema@.operations_job_run_details is
    'One row for each run of a job by the extension''s worker. Pruned daily by the job operations_prune_job_history.';
comment on column @extschema@.operations_job_run_details.run_id is 'Ascending number of the run.';
comment on column @extschema@.operations_job_run_details.job_name is 'The job, as in operations_job.';
comment on column @extschema@.operations_job_run_details.started_at is 'When the run began.';
comment on column @extschema@.operations_job_run_details.finished_at is 'When the run ended.';
comment on column @extschema@.operations_job_run_details.status is 'succeeded or failed.';
comment on column @extschema@.operations_job_run_details.return_message is 'The error, if the run failed: SQLSTATE (XX000 for one that is not PostgreSQL''s own) and message.';

comment on sequence @extschema@.operations_job_run_details_run_id_seq is 'Numbers the runs.';
comment on index @extschema@.operations_job_run_details_job_name_finished_at_idx is 'Finds the last run of a job.';

revoke all on @extschema@.operations_job, @extschema@.operations_job_run_details from public;

-- A dump keeps which jobs are scheduled; what they did stays with the server that did it.
select pg_catalog.pg_extension_config_dump('@extschema@.operations_job', '');

create function @extschema@.operations_has_pg_cron()
returns boolean
language sql
stable
set search_path = pg_catalog, pg_temp
return (
    select count(*) = 2
    from pg_depend
    join pg_extension on pg_extension.oid = refobjid
    -- OIDs are compared with OIDs: its operators are looked up when it is created, and another one of the schema's would be taken.
    where refclassid = 'pg_extension'::regclass::oid and extname = 'pg_cron' and deptype = 'e'
      and classid = 'pg_class'::regclass::oid
      -- By the catalogs: to_regclass() raises an error for who may not use a schema of that name, whosever that is.
      and objid in (
          select pg_class.oid
          from pg_class
          join pg_namespace on pg_namespace.oid = relnamespace
          where nspname = 'cron' and relname in ('job', 'job_run_details')
      )
);

comment on function @extschema@.operations_has_pg_cron() is
    'Whether this database has pg_cron''s tables. Where pg_cron is not installed anybody may have made others of these names, which nobody should read.';

create function @extschema@.operations_jobs(
    out job_name text,
    out scheduler text,
    out schedule text,
    out active boolean,
    out runs bigint,
    out failures bigint,
    out last_started_at timestamptz,
    out last_finished_at timestamptz,
    out last_status text,
    out last_message text
)
returns setof record
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $function$
declare
    insert_interval text := coalesce(current_setting('operations_ext.insert_interval', true), '5s');
    change_status_interval text := coalesce(current_setting('operations_ext.change_status_interval', true), '3s');
begin
    return query
        select j.job_name, 'worker', s.schedule, s.schedule <> '0', coalesce(h.runs, 0), coalesce(h.failures, 0),
               l.started_at, l.finished_at, l.status, l.return_message
        from @extschema@.operations_job j
        cross join lateral (
            select case j.job_name
                       when 'operation_insert_one' then insert_interval
                       when 'change_status' then change_status_interval
                       else '1d'
                   end
        ) s(schedule)
        left join (
            select d.job_name, count(*), count(*) filter (where d.status = 'failed')
            from @extschema@.operations_job_run_details d
            group by d.job_name
        ) h(job_name, runs, failures) on h.job_name = j.job_name
        left join lateral (
            select d.started_at, d.finished_at, d.status, d.return_message
            from @extschema@.operations_job_run_details d
            where d.job_name = j.job_name
            order by d.finished_at desc
            limit 1
        ) l on true
        order by j.job_name;

    if not @extschema@.operations_has_pg_cron() then
        return;
    end if;
    if has_schema_privilege('cron', 'USAGE') then
        return query execute $query$
            select j.jobname::text, 'pg_cron', j.schedule, j.active, coalesce(h.runs, 0), coalesce(h.failures, 0),
                   l.start_time, l.end_time, l.status, l.return_message
            from cron.job j
            left join (
                select d.jobid, count(*), count(*) filter (where d.status = 'failed')
                from cron.job_run_details d
                group by d.jobid
            ) h(jobid, runs, failures) on h.jobid = j.jobid
            left join lateral (
                select d.start_time, d.end_time, d.status, d.return_message
                from cron.job_run_details d
                where d.jobid = j.jobid and d.status in ('succeeded', 'failed')
                order by d.runid desc
                limit 1
            ) l on true
            where j.database = current_database()
              and j.jobname in ('operation_insert_one', 'change_status', 'operations_maintain_partitions',
                                'operations_prune_job_history')
              and j.command = 'call @extschema@.' || j.jobname || '()'
              and exists (
                  select
                  from pg_roles r
                  cross join pg_proc p
                  where r.rolname = j.username and p.pronamespace = '@extschema@'::regnamespace and p.proname = j.jobname
                    and has_function_privilege(r.oid, p.oid, 'EXECUTE')
              )
            order by j.jobname
        $query$;
    end if;
end
$function$;

-- It runs with the rights of the extension's owner, for pg_cron shows a job to nobody but the role it runs as.
revoke all on function @extschema@.operations_jobs() from public;

comment on function @extschema@.operations_jobs() is
    'The scheduled jobs, whether pg_cron or the extension''s worker runs them: schedule, how often they ran and failed in the history that is kept, and the last run that ended. Works on a replica, too.';

-- What the doctor asks of pg_cron's tables, with the rights of the extension's owner, as operations_jobs() does and for the same reason.
create function @extschema@.operations_pg_cron_jobs()
returns table (job_name text, database text, running integer[], oldest timestamptz)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $function$
begin
    if not @extschema@.operations_has_pg_cron() or not has_schema_privilege('cron', 'USAGE') then
        return;
    end if;
    return query execute $query$
        select j.jobname::text, j.database::text, coalesce(r.running, '{}'), o.oldest
        from cron.job j
        left join lateral (
            select array_agg(d.job_pid order by d.job_pid) as running
            from cron.job_run_details d
            join pg_stat_activity a on a.pid = d.job_pid
            where d.jobid = j.jobid and d.status = 'running' and d.start_time > pg_postmaster_start_time()
              -- A day's history has tens of thousands of rows.
              and d.runid > (select max(n.runid) - 1000 from cron.job_run_details n)
        ) r on true
        left join lateral (
            select min(f.start_time) as oldest
            from (select d.jobid, d.start_time from cron.job_run_details d order by d.runid limit 1000) f
            where f.jobid = j.jobid
        ) o on true
        where j.jobname in ('operation_insert_one', 'change_status', 'operations_maintain_partitions', 'operations_prune_job_history')
          and j.command = 'call @extschema@.' || j.jobname || '()'
          -- A job of a role that may not call ours is somebody else's.
          and exists (
              select
              from pg_roles r
              cross join pg_proc p
              where r.rolname = j.username and p.pronamespace = '@extschema@'::regnamespace and p.proname = j.jobname
                and has_function_privilege(r.oid, p.oid, 'EXECUTE')
          )
        order by j.jobname, j.database
    $query$;
end
$function$;

revoke all on function @extschema@.operations_pg_cron_jobs() from public;

comment on function @extschema@.operations_pg_cron_jobs() is
    'The jobs that pg_cron has: in which database each runs, the processes of the runs that are at work now, and when the oldest run in the history began, if it is among the thousand oldest of all. Part of operations_doctor().';
