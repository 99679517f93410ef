-- What ALTER EXTENSION operations_ext UPDATE does to the objects of 0.1.0. A test compares the outcome with a new installation.
\echo Use "ALTER EXTENSION operations_ext UPDATE" to load this file. \quit

-- What Citus has made of the tables.
create function @extschema@.operations_citus_tables(
    out relation oid,
    out kind text,
    out has_hidden_rows boolean
)
returns setof record
language c stable parallel restricted cost 1000 rows 20
as 'MODULE_PATHNAME', 'operations_citus_tables_wrapper';

comment on function @extschema@.operations_citus_tables() is
    'The tables of the extension and the partitions of operations that Citus has made its own, what they are to it, and, for who may read the table, whether their files on this server hold rows, which no query finds. On a worker node also a row without a table. No rows without Citus.';

create function @extschema@.operations_hidden_rows(
    out id bigint,
    out operation_date date,
    out operation_guid uuid,
    out client_id integer,
    out operation_type @extschema@.operation_type_enum,
    out amount numeric,
    out status smallint,
    out message jsonb
)
returns setof record
language c volatile parallel unsafe cost 100000 rows 100000
as 'MODULE_PATHNAME', 'operations_hidden_rows_wrapper';

revoke all on function @extschema@.operations_hidden_rows() from public;

comment on function @extschema@.operations_hidden_rows() is
    'The operations in files on this server of partitions of operations that Citus has made its own: no query of the table finds them. Its caller needs SELECT on operations. No rows without Citus.';

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

create or replace function @extschema@.operations_doctor_jobs()
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

create or replace function @extschema@.operations_doctor_growth()
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

create or replace function @extschema@.operations_doctor_sums(p_full boolean)
returns table (code text, severity text, evidence text, next_command text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $function$
declare
    differences bigint;
    example text;
    distributed oid[];
    patience text;
    started timestamptz;
    node record;
    answers boolean;
    is_away boolean := false;
    -- Reading so much takes some 10 ms.
    largest_sample constant bigint := 8 * 1024 * 1024;
begin
    if to_regclass('@extschema@.operations') is null or to_regclass('@extschema@.client_type_sum_mv') is null
       or to_regclass('@extschema@.client_type_sum_live') is null then
        return; -- setup_missing
    end if;
    if exists (select from @extschema@.operations_citus_tables() c where c.kind <> 'distributed by operations_distribute()') then
        return; -- citus_table, citus_worker
    end if;
    -- First, for once a question was not answered the transaction can only end.
    select array_agg(c.relation) into distributed from @extschema@.operations_citus_tables() c;
    select s.setting into patience from pg_settings s where s.name = 'citus.node_connection_timeout';
    if distributed is not null and patience is not null then
        started := clock_timestamp();
        -- In ms. Citus waits for 30 s by default.
        perform set_config('citus.node_connection_timeout', least(patience::integer, 1000)::text, true);
        for node in execute $query$
            select n.nodename, n.nodeport
            from pg_dist_node n
            where n.noderole = 'primary' and n.groupid <> (select l.groupid from pg_dist_local_group l)
              and exists (select
                          from pg_dist_placement p
                          join pg_dist_shard s on s.shardid = p.shardid
                          where p.groupid = n.groupid and s.logicalrelid = any ($1))
            order by n.nodeid
        $query$ using distributed
        loop
            execute 'select citus_check_connection_to_node($1, $2)' into answers using node.nodename, node.nodeport;
            if not answers then
                is_away := true;
                -- Others may be away just for this role.
                return query
                select 'citus_node_away',
                       case when (select r.rolsuper from pg_roles r where r.rolname = current_user) then 'broken' else 'unknown' end,
                       format('node %s:%s has shards of operations and cannot be asked as role %I: what needs them fails',
                              node.nodename, node.nodeport, current_user),
                       format('select citus_check_connection_to_node(%L, %s); -- its warning says why: see docs/doctor.md',
                              node.nodename, node.nodeport);
                -- Whoever asks for all this waits for some seconds only.
                exit when clock_timestamp() > started + interval '1 s';
            end if;
        end loop;
        perform set_config('citus.node_connection_timeout', patience, true);
        if is_away then
            return;
        end if;
    end if;

    if not (select c.relispopulated from pg_class c where c.oid = '@extschema@.client_type_sum_mv'::regclass) then
        return query
        select 'view_stale', 'degraded', 'client_type_sum_mv was never filled', 'call @extschema@.change_status();';
    else
        -- Not read here: whoever calls this need not trust the owners of the views.
        select count(*), min(format('client %s %s: %s in client_type_sum_mv, %s in client_type_sum_live', s.client_id, s.operation_type,
                                    coalesce(s.held_amount, 0), coalesce(s.live_amount, 0)))
        into differences, example
        from @extschema@.operations_stale_sums() s;
        return query
        select 'view_stale', 'degraded', format('%s sums of client_type_sum_mv are not up to date, such as %s', differences, example),
               'call @extschema@.change_status();'
        where differences > 0;
    end if;

    if p_full then
        select count(*), min(format('client %s %s: %s by the rollups, %s by the rows', v.client_id, v.operation_type,
                                    coalesce(v.rolled_up_amount, 0), coalesce(v.actual_amount, 0)))
        into differences, example
        from @extschema@.operations_verify_rollup(false) v;
    else
        -- One small month, another each time: its rollup and what is not folded yet against its rows.
        with actual as materialized (
            select * from @extschema@.operations_sampled_sums()
        ), sample as (
            select max(partition) as partition from actual
        )
        select count(*), min(format('client %s %s of %s: %s by the rollups, %s by the rows', d.client_id, d.operation_type,
                                    d.partition::regclass, d.rolled_up, d.actual))
        into differences, example
        from (
            select s.partition, s.client_id, s.operation_type, sum(s.rolled_up) as rolled_up, sum(s.actual) as actual
            from (
                select r.partition, r.client_id, r.operation_type, r.amount as rolled_up, 0 as actual
                from @extschema@.operations_rollup r
                where r.partition = (select partition from sample)
                union all
                select d.partition, d.client_id, d.operation_type, d.amount, 0
                from @extschema@.operations_delta d
                where d.partition = (select partition from sample)
                union all
                select o.partition, o.client_id, o.operation_type, 0, o.amount
                from actual o
            ) s
            group by s.partition, s.client_id, s.operation_type
            having sum(s.rolled_up) <> sum(s.actual)
        ) d;

        if differences = 0 then
            -- All months together against the total.
            select count(*), min(format('client %s %s: %s by the rollups of the months, %s in their total', d.client_id, d.operation_type,
                                        d.months, d.total))
            into differences, example
            from (
                select s.client_id, s.operation_type, sum(s.months) as months, sum(s.total) as total
                from (
                    select r.client_id, r.operation_type, r.amount as months, 0 as total
                    from @extschema@.operations_rollup r
                    union all
                    select t.client_id, t.operation_type, 0, t.amount
                    from @extschema@.operations_rollup_total t
                ) s
                group by s.client_id, s.operation_type
                having sum(s.months) <> sum(s.total)
            ) d
            where pg_relation_size('@extschema@.operations_rollup') < largest_sample;
        end if;
    end if;
    return query
    select 'sums_differ', 'broken', format('%s sums are wrong, such as %s', differences, example),
           'select * from @extschema@.operations_verify_rollup(true); -- on the primary'
    where differences > 0;
end
$function$;

comment on function @extschema@.operations_doctor_sums(boolean) is
    'The part of operations_doctor() about the sums: client_type_sum_mv against client_type_sum_live, and the rollups against the rows: of one small month, or with p_full of all. On Citus first whether the nodes answer.';


-- It finds partitions that overlap, and what Citus has made of the tables, too.
create or replace function @extschema@.operations_doctor_partitions()
returns table (code text, severity text, evidence text, next_command text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $function$
declare
    parent regclass := to_regclass('@extschema@.operations');
    wanted date;
    missing text[];
    fallback regclass;
    holds_rows boolean;
begin
    -- First: who does what the next finding says may drop the table, and them with it.
    return query
    select 'hidden_rows', 'broken',
           format('the files of %s on this server hold rows, and no query finds them there', string_agg(c.relation::regclass::text, ', ' order by c.relation)),
           format('begin; insert into @extschema@.operations overriding system value with hidden as materialized (select * from @extschema@.operations_hidden_rows()), known as materialized (select o.operation_date, o.id from @extschema@.operations o join hidden h on o.operation_date = h.operation_date and o.id = h.id) select h.* from hidden h where not exists (select from known k where k.operation_date = h.operation_date and k.id = h.id); select truncate_local_data_after_distributing_table(%L); commit; -- on the coordinator, see docs/doctor.md', parent)
    from @extschema@.operations_citus_tables() c
    join pg_partition_tree(parent) p on p.relid = c.relation
    where c.has_hidden_rows
    having count(*) > 0;
    if exists (select from @extschema@.operations_citus_tables() c where c.relation is null) then
        return query
        select 'citus_worker', 'info', 'this server is a worker node of Citus: the coordinator has the table, the sums and the jobs',
               'select nodename, nodeport from pg_dist_node where groupid = 0; -- then ask operations_doctor() there';
        return;
    end if;
    return query
    select 'citus_table', 'broken',
           format('%s is %s: change_status(), loads, jobs and sums refuse it', c.relation::regclass, c.kind),
           case t.relkind
               when 'p' then case c.kind when 'distributed by client_id' then 'call @extschema@.operations_distribute();' else format('begin; drop view if exists @extschema@.client_type_sum_live cascade; alter table %s rename to operations_on_citus; call @extschema@.operations_setup(); commit; -- docs/scaling.md has how the rows come along', c.relation::regclass) end
               else case when exists (select from @extschema@.operations_citus_tables() o where o.relation = parent)
                   then 'select * from @extschema@.operations_citus_tables(); -- operations becomes a table of PostgreSQL first, see docs/scaling.md'
                   else 'begin; alter extension operations_ext drop type @extschema@.operation_type_enum; drop extension operations_ext cascade; create extension operations_ext schema @extschema@; call @extschema@.operations_setup(); commit;' end
           end
    from @extschema@.operations_citus_tables() c
    join pg_class t on t.oid = c.relation and not t.relispartition
    where c.kind <> 'distributed by operations_distribute()';

    if parent is null or to_regclass('@extschema@.client_type_sum_mv') is null or to_regclass('@extschema@.client_type_sum_live') is null then
        return query
        select 'setup_missing', 'broken',
               format('in database %s there is no %s', current_database(),
                      concat_ws(', ', case when parent is null then 'table operations' end,
                                case when to_regclass('@extschema@.client_type_sum_mv') is null then 'view client_type_sum_mv' end,
                                case when to_regclass('@extschema@.client_type_sum_live') is null then 'view client_type_sum_live' end)),
               'call @extschema@.operations_setup();';
        return;
    end if;

    return query
    select 'relation_locked', 'broken',
           format('process %s (%s, %s) has locked %s against all readers, its transaction is %s s old', l.pid, a.usename, a.state,
                  string_agg(distinct c.relname, ', '), round(extract(epoch from clock_timestamp() - a.xact_start))),
           format('select pg_terminate_backend(%s);', l.pid)
    from pg_locks l
    join pg_class c on c.oid = l.relation
    join pg_stat_activity a on a.pid = l.pid
    where l.locktype = 'relation' and l.mode = 'AccessExclusiveLock' and l.granted
      and l.database = (select d.oid from pg_database d where d.datname = current_database())
      and (l.relation in (parent, '@extschema@.client_type_sum_mv'::regclass, '@extschema@.client_type_sum_live'::regclass)
           or exists (select from pg_inherits i where i.inhparent = parent and i.inhrelid = l.relation))
      and a.backend_type = 'client backend' and a.xact_start < clock_timestamp() - interval '3 s'
    group by l.pid, a.usename, a.state, a.xact_start;

    -- A replica has the primary's months.
    if pg_is_in_recovery() then
        return;
    end if;

    -- The daily job makes three; on the first days of a month there may be two.
    for wanted in
        select m::date from generate_series(date_trunc('month', current_date), date_trunc('month', current_date) + interval '2 months', interval '1 month') m
    loop
        if not exists (
            select
            from pg_inherits i
            join pg_class c on c.oid = i.inhrelid
            where i.inhparent = parent and not i.inhdetachpending
              and pg_get_expr(c.relpartbound, c.oid) = format('FOR VALUES FROM (%L) TO (%L)', wanted, (wanted + interval '1 month')::date)
        ) then
            missing := missing || to_char(wanted, 'YYYY-MM');
        end if;
    end loop;
    return query
    select 'months_missing', case when missing[1] = to_char(current_date, 'YYYY-MM') then 'broken' else 'degraded' end,
           format('operations has no partition for %s', array_to_string(missing, ', ')),
           'call @extschema@.operations_maintain_partitions();'
    where missing is not null;

    -- PostgreSQL refuses such bounds, but two sessions that attach at the same time may miss each other's partition.
    if exists (
        select
        from pg_partitioned_table p
        join pg_attribute a on a.attrelid = p.partrelid and a.attnum = p.partattrs[0]
        where p.partrelid = parent and p.partstrat = 'r' and p.partnatts = 1 and a.atttypid = 'date'::regtype
    ) then
        return query
        with bounds as (
            select c.oid, c.oid::regclass as name,
                   (case b.ends[1] when 'MINVALUE' then '-infinity' else trim(b.ends[1], '''') end)::date as from_day,
                   (case b.ends[2] when 'MAXVALUE' then 'infinity' else trim(b.ends[2], '''') end)::date as to_day
            from pg_inherits i
            join pg_class c on c.oid = i.inhrelid
            cross join lateral regexp_match(pg_get_expr(c.relpartbound, c.oid), '^FOR VALUES FROM [(](.*)[)] TO [(](.*)[)]$') as b(ends)
            where i.inhparent = parent and not i.inhdetachpending and b.ends is not null
        )
        select 'partitions_overlap', 'broken',
               format('partitions %s and %s overlap from %s to %s: rows of one of them are not seen', one.name, other.name,
                      greatest(one.from_day, other.from_day), least(one.to_day, other.to_day)),
               format('alter table %s detach partition %s; -- then insert its rows again, see docs/doctor.md', parent, other.name)
        from bounds one
        join bounds other on other.oid > one.oid and other.from_day < one.to_day and one.from_day < other.to_day
        order by one.from_day;
    end if;

    select i.inhrelid::regclass into fallback
    from pg_partitioned_table p
    join pg_inherits i on i.inhrelid = p.partdefid
    where p.partrelid = parent;
    if fallback is null then
        return;
    end if;
    -- Whoever reads a table evaluates what its owner put on it.
    if exists (
        select
        from pg_partition_tree(fallback) t
        join pg_class c on c.oid = t.relid
        where not pg_has_role(c.relowner, current_user, 'usage')
    ) then
        return query
        select 'not_permitted', 'unknown',
               format('the DEFAULT partition %s was not looked into: its owner is not trusted with the rights of %I', fallback, current_user),
               format('select exists (select 1 from %s); -- as its owner', fallback);
    else
        execute format('select exists (select 1 from %s)', fallback) into holds_rows;
        return query
        select 'default_partition_rows', 'degraded',
               format('the DEFAULT partition %s holds rows, so that their months cannot be attached', fallback),
               format('select date_trunc(''month'', operation_date) as month, count(*) from %s group by 1; -- then move them to partitions', fallback)
        where holds_rows;
    end if;
end
$function$;

comment on function @extschema@.operations_doctor_partitions() is
    'The part of operations_doctor() about the table operations: set up, not locked, months ahead, no partitions that overlap, no rows in a DEFAULT partition.';

-- Their operators are of pg_catalog, whatever was in the schema when the extension was created.
create or replace function @extschema@.operations_has_pg_cron()
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

create or replace view @extschema@.operations_partition_version as
select n.partition,
       pg_catalog.concat_ws(' ', c.relfilenode, g.triggers, a.columns) as version,
       coalesce(n.counted and n.file = c.relfilenode and n.columns operator(pg_catalog.=) a.numbers and g.number = 3, false) as counted,
       g.transactions operator(pg_catalog.||) a.transactions as transactions,
       n.from_day,
       n.to_day,
       n.root,
       n.root_columns
from @extschema@.operations_partitions_now() n
left join pg_catalog.pg_class c on c.oid = n.partition
cross join lateral (
    select pg_catalog.string_agg(pg_catalog.concat_ws(' ', g.oid, g.xmin, g.tgenabled), ' ' order by g.oid) as triggers,
           -- Not that before TRUNCATE, which counts nothing.
           pg_catalog.count(*) filter (where g.tgtype::integer & 32 = 0) as number,
           coalesce(pg_catalog.array_agg(g.xmin::text::bigint), '{}') as transactions
    from pg_catalog.pg_trigger g
    where g.tgrelid = n.partition and g.tgfoid = '@extschema@.operations_count_change()'::pg_catalog.regprocedure::pg_catalog.oid
) g
cross join lateral (
    select pg_catalog.string_agg(pg_catalog.concat_ws(' ', a.attnum, a.atttypid, a.xmin), ' ' order by a.attname) as columns,
           pg_catalog.array_agg(a.attnum order by a.attname) as numbers,
           coalesce(pg_catalog.array_agg(a.xmin::text::bigint), '{}') as transactions
    from pg_catalog.pg_attribute a
    where a.attrelid = n.partition and a.attname in ('amount', 'client_id', 'operation_type', 'status')
) a;

create or replace view @extschema@.operations_rollup_live as
with present as materialized (
    select v.partition, v.version, v.counted, v.from_day, v.to_day, v.root, v.root_columns
    from @extschema@.operations_partition_version v
), tracked as materialized (
    select r.partition
    from @extschema@.operations_rollup_partition r
    join present p on p.partition = r.partition and p.version = r.version
    where p.counted
), stale as materialized (
    select r.partition
    from @extschema@.operations_rollup_partition r
    where r.partition not in (select partition from tracked)
)
select s.client_id, s.operation_type, pg_catalog.sum(s.rows)::bigint as rows, pg_catalog.sum(s.amount) as amount,
       null::oid as partition, null::date as from_day, null::date as to_day, null::boolean as by_name
from (
    select t.client_id, t.operation_type, t.rows, t.amount
    from @extschema@.operations_rollup_total t
    union all
    -- Not folded yet.
    select d.client_id, d.operation_type, d.rows, d.amount
    from @extschema@.operations_delta d
    where d.partition in (select partition from tracked)
    union all
    -- Still in the total, but gone or of another version. EXISTS is asked first, once: if there is none, nothing is read.
    select r.client_id, r.operation_type, -r.rows, -r.amount
    from @extschema@.operations_rollup r
    where exists (select from stale) and r.partition = any (array(select partition from stale))
) s
group by s.client_id, s.operation_type
having pg_catalog.sum(s.rows) <> 0::numeric
union all
select null, null, null, null, p.partition, p.from_day, p.to_day,
       coalesce(not p.root_columns operator(pg_catalog.<@) array(
           select d.refobjsubid::int2
           from pg_catalog.pg_class c
           join pg_catalog.pg_rewrite w on w.ev_class = c.oid
           join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass::pg_catalog.oid and d.objid = w.oid
           where c.relname = 'client_type_sum_live' and c.relnamespace = '@extschema@'::pg_catalog.regnamespace::pg_catalog.oid
             and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid and d.refobjid = p.root
       ), false)
from present p
where p.partition not in (select partition from tracked);

-- What the aggregate is kept in where Citus has the rows: see docs/scaling.md. Empty, and without shards, before
-- operations_distribute(). The extension owns them, so each node has their definitions.

-- Appended to by the triggers of a shard, in the shard that has the same clients. The columns are in the order of operations_delta.
create table @extschema@.operations_shard_delta (
    from_day date not null,
    client_id integer not null,
    operation_type @extschema@.operation_type_enum not null,
    rows integer not null,
    amount numeric not null
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000, vacuum_truncate = off);

-- A shard is moved by logical replication.
alter table @extschema@.operations_shard_delta replica identity full;

comment on table @extschema@.operations_shard_delta is
    'On Citus: changes of done operations that are not in operations_shard_rollup yet, of each client in the shard of its operations.';
comment on column @extschema@.operations_shard_delta.from_day is 'The first day of the partition.';
comment on column @extschema@.operations_shard_delta.client_id is 'The client.';
comment on column @extschema@.operations_shard_delta.operation_type is 'The type of the operations.';
comment on column @extschema@.operations_shard_delta.rows is 'How many more done operations there are; negative: fewer.';
comment on column @extschema@.operations_shard_delta.amount is 'How much more they sum up to, in EUR; negative: less.';

create table @extschema@.operations_shard_rollup (
    client_id integer,
    operation_type @extschema@.operation_type_enum,
    from_day date,
    rows bigint not null,
    amount numeric not null,
    primary key (client_id, operation_type, from_day)
) with (fillfactor = 50, vacuum_truncate = off);

comment on table @extschema@.operations_shard_rollup is
    'On Citus: count and sum of the done operations of each partition that is tracked, by client and type, in the shard of the operations.';
comment on column @extschema@.operations_shard_rollup.client_id is 'The client.';
comment on column @extschema@.operations_shard_rollup.operation_type is 'The type of the operations.';
comment on column @extschema@.operations_shard_rollup.from_day is 'The first day of the partition.';
comment on column @extschema@.operations_shard_rollup.rows is 'How many done operations there are.';
comment on column @extschema@.operations_shard_rollup.amount is 'Their sum in EUR.';
comment on index @extschema@.operations_shard_rollup_pkey is 'Finds a sum.';

create table @extschema@.operations_shard (
    key integer primary key,
    command text,
    role name,
    parity integer,
    batch bigint,
    tracked date[],
    until date[],
    forgotten date[],
    flipped bigint
) with (fillfactor = 50, vacuum_truncate = off);

comment on table @extschema@.operations_shard is
    'On Citus: a row in each shard. Whoever updates it has the trigger on it work on the rows of that shard, in one transaction on all nodes.';
comment on column @extschema@.operations_shard.key is 'A number that is in this shard.';
comment on column @extschema@.operations_shard.command is 'What was done last: flip or track.';
comment on column @extschema@.operations_shard.role is 'flip: who changes the operations.';
comment on column @extschema@.operations_shard.parity is 'flip: 0 for operations of even id, 1 for odd.';
comment on column @extschema@.operations_shard.batch is 'flip: at most so many operations.';
comment on column @extschema@.operations_shard.tracked is 'The partitions whose changes are followed, by their first days; track: those to sum up.';
comment on column @extschema@.operations_shard.until is 'track: the last days of those to sum up.';
comment on column @extschema@.operations_shard.forgotten is 'track: the partitions whose sums are to be forgotten before.';
comment on column @extschema@.operations_shard.flipped is 'flip: how many operations were changed.';
comment on index @extschema@.operations_shard_pkey is 'Finds the row of a shard.';

create table @extschema@.operations_shard_load (
    key integer,
    load bigint,
    role name,
    seed bigint,
    first_day date,
    last_day date,
    rows bigint,
    session bigint,
    shards text,
    from_row bigint,
    to_row bigint,
    loaded bigint,
    primary key (key, load)
) with (fillfactor = 50, vacuum_truncate = off);

comment on table @extschema@.operations_shard_load is
    'On Citus: a row in each shard while a load runs, which removes them before it ends. Whoever updates one has the trigger on it write rows into the shards that the row names, in one transaction on all nodes.';
comment on column @extschema@.operations_shard_load.key is 'A number that is in this shard.';
comment on column @extschema@.operations_shard_load.load is 'The load: the id of the first operation of its set.';
comment on column @extschema@.operations_shard_load.role is 'Who loads.';
comment on column @extschema@.operations_shard_load.seed is 'The seed of the set.';
comment on column @extschema@.operations_shard_load.first_day is 'The first day of the set.';
comment on column @extschema@.operations_shard_load.last_day is 'The last day of the set.';
comment on column @extschema@.operations_shard_load.rows is 'How many operations the set has.';
comment on column @extschema@.operations_shard_load.session is
    'The session of the node that works on this shard in the transaction: its pid, and above 32 bits the group of the node.';
comment on column @extschema@.operations_shard_load.shards is
    'The shards to write to, numbers of operations_shard in pg_dist_shard, written as an array; null: none, the session is asked for.';
comment on column @extschema@.operations_shard_load.from_row is 'The first row of the set to write, from 0.';
comment on column @extschema@.operations_shard_load.to_row is 'The row after the last one.';
comment on column @extschema@.operations_shard_load.loaded is 'How many of these are in those shards, and were written.';
comment on index @extschema@.operations_shard_load_pkey is 'Finds the row of a shard in a load.';

create table @extschema@.operations_shard_key (
    shard bigint primary key,
    key integer not null
);

comment on table @extschema@.operations_shard_key is 'On Citus, on the coordinator: the shards of operations_shard, each with a key that is in it.';
comment on column @extschema@.operations_shard_key.shard is 'The shard, a number of pg_dist_shard.';
comment on column @extschema@.operations_shard_key.key is 'The key.';
comment on index @extschema@.operations_shard_key_pkey is 'A shard has one key.';

create table @extschema@.operations_shard_month (
    from_day date primary key,
    partition oid not null,
    version text not null,
    summed_by xid8
) with (fillfactor = 50, vacuum_truncate = off);

comment on table @extschema@.operations_shard_month is
    'On Citus, on the coordinator: the partitions of operations that are tracked. The operations done of their shards are what operations_shard_rollup and operations_shard_delta hold.';
comment on column @extschema@.operations_shard_month.from_day is 'The first day of the partition.';
comment on column @extschema@.operations_shard_month.partition is 'The partition, an OID of pg_class.';
comment on column @extschema@.operations_shard_month.version is
    'Its version, as in operations_partition_version, when it was summed up. While it has another one it is not tracked.';
comment on column @extschema@.operations_shard_month.summed_by is
    'The transaction that has summed it up, until another one has seen that all nodes have committed it: it is followed, but its sums are not used yet.';
comment on index @extschema@.operations_shard_month_pkey is 'No two partitions begin on the same day.';

revoke all on @extschema@.operations_shard_delta, @extschema@.operations_shard_rollup, @extschema@.operations_shard,
    @extschema@.operations_shard_load, @extschema@.operations_shard_key, @extschema@.operations_shard_month from public;

create function @extschema@.operations_shard_work()
returns trigger
language c as 'MODULE_PATHNAME', 'operations_shard_work_wrapper';

revoke all on function @extschema@.operations_shard_work() from public;

comment on function @extschema@.operations_shard_work() is
    'On Citus: changes operations of the shard whose row of operations_shard is updated, or sums them up, as the row says; writes the rows of a load where a row of operations_shard_load is. Called by the triggers of the two.';

comment on function @extschema@.operations_count_change() is
    'Appends to operations_delta what a change of a row changes in the sums; on a worker node of Citus refuses TRUNCATE. Called by the triggers of operations.';

create procedure @extschema@.operations_distribute()
language c as 'MODULE_PATHNAME', 'operations_distribute_wrapper';

revoke all on procedure @extschema@.operations_distribute() from public;

comment on procedure @extschema@.operations_distribute() is
    'On Citus: distributes operations by client_id, with all its rows, and keeps the sums in the shards. Its primary key becomes (operation_date, client_id, id). Nothing changes, if it is so already. For superusers.';

-- The rows of a partition that is not tracked are summed up with those of all that lie between it and the next such: so the query of
-- client_type_sum_live on Citus has but two days to compare with, and all of it goes to the shards.
create view @extschema@.operations_shard_state as
with months as (
    -- A month ends before the first day of the next, which is the version's; an end that is no day is one that a row may have.
    select v.from_day, case when pg_catalog.isfinite(v.to_day) then v.to_day - 1 else v.to_day end as to_day,
           m.partition is not null and m.summed_by is null and v.counted and v.from_day > '-infinity'::date as is_tracked
    from @extschema@.operations_partition_version v
    left join @extschema@.operations_shard_month m
        on m.partition = v.partition and m.version = v.version and m.from_day = v.from_day
), untracked as (
    select min(u.from_day) as from_day, max(u.to_day) as to_day
    from months u
    where not u.is_tracked
)
select array(
           select m.from_day
           from months m
           where m.is_tracked and (u.from_day is null or m.to_day < u.from_day or m.from_day > u.to_day)
       ) as tracked,
       u.from_day,
       u.to_day
from untracked u;

comment on view @extschema@.operations_shard_state is
    'On Citus: the partitions of operations whose sums are in operations_shard_rollup and operations_shard_delta. What client_type_sum_live is made of there.';
comment on column @extschema@.operations_shard_state.tracked is 'The first days of these partitions.';
comment on column @extschema@.operations_shard_state.from_day is 'The first day whose operations are in none of them; null: all are.';
comment on column @extschema@.operations_shard_state.to_day is 'The last such day.';

revoke all on @extschema@.operations_shard_state from public;
