-- The sums against the rows.

create function @extschema@.operations_doctor_sums(p_full boolean)
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

revoke all on function @extschema@.operations_doctor_sums(boolean) from public;
