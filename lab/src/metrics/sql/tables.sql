-- By the statistics of the tables that are written all the time; operations is the sum of its partitions.
select r.relation,
       sum(t.n_live_tup)::float8 as table_live_rows,
       sum(t.n_dead_tup)::float8 as table_dead_rows,
       sum(t.vacuum_count + t.autovacuum_count)::float8 as table_vacuums_total,
       sum(t.analyze_count + t.autoanalyze_count)::float8 as table_analyzes_total
from (
    select 'operations' as relation, i.inhrelid as oid from pg_inherits i where i.inhparent = '@schema@.operations'::regclass
    union all
    select w.name, to_regclass(format('@schema@.%I', w.name))
    from unnest(array['client_type_sum_mv', 'operations_delta', 'operations_job_run_details', 'operations_rollup',
                      'operations_rollup_total']) w (name)
) r
join pg_stat_user_tables t on t.relid = r.oid
group by r.relation
order by r.relation
