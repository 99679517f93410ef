-- The table and its months.

create function @extschema@.operations_doctor_partitions()
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

revoke all on function @extschema@.operations_doctor_partitions() from public;
