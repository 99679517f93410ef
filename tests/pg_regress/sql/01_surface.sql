-- What the extension brings, with its comments, and who may use it.
select p.prokind as kind, p.proname as name, pg_get_function_arguments(p.oid) as arguments,
       pg_get_userbyid(p.proowner) = current_user as mine,
       has_function_privilege('pg_monitor', p.oid, 'execute') as anybody_may
from pg_proc p
join pg_depend d on d.objid = p.oid and d.classid = 'pg_proc'::regclass and d.deptype = 'e'
join pg_extension e on e.oid = d.refobjid and e.extname = 'operations_ext'
order by p.proname, arguments;

select enum_range(null::operation_type_enum);

-- Nothing is without a comment.
select pg_describe_object(d.classid, d.objid, 0)
from pg_depend d
join pg_extension e on e.oid = d.refobjid and d.deptype = 'e' and e.extname = 'operations_ext'
where obj_description(d.objid, d.classid::regclass::name) is null
  and pg_describe_object(d.classid, d.objid, 0) !~ '^type (operations_(job|delta|rollup|partition|shard|load_progress)|operation_type_enum\[\])';

select c.relname, a.attname
from pg_class c
left join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and c.relkind not in ('i', 'I')
where c.relname in ('operations', 'client_type_sum_live', 'client_type_sum_mv', 'operations_job',
                    'operations_job_run_details', 'operations_delta', 'operations_rollup', 'operations_rollup_live',
                    'operations_rollup_partition', 'operations_rollup_total', 'operations_rollup_pkey',
                    'operations_rollup_partition_pkey', 'operations_rollup_total_pkey', 'operations_partition_version',
                    'operations_status_id_idx', 'client_type_sum_mv_client_id_operation_type_idx')
  and (obj_description(c.oid, 'pg_class') is null or (a.attnum is not null and col_description(c.oid, a.attnum) is null));

-- The table and the view. The extension does not own them.
select a.attname, format_type(a.atttypid, a.atttypmod) as type, a.attnotnull, a.attidentity,
       pg_get_expr(d.adbin, d.adrelid) as default
from pg_attribute a
left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
where a.attrelid = 'operations'::regclass and a.attnum > 0
order by a.attnum;

select pg_get_partkeydef('operations'::regclass);

-- PostgreSQL 18 has a row for each NOT NULL, too.
select conname, pg_get_constraintdef(oid) from pg_constraint
where conrelid = 'operations'::regclass and contype <> 'n' order by conname;

select indexrelid::regclass::text as index, pg_get_indexdef(indexrelid)
from pg_index
where indrelid in ('operations'::regclass, 'client_type_sum_mv'::regclass)
order by 1;

-- PostgreSQL 15 names the relation before each column, the later ones only where there are several.
select regexp_replace(pg_get_viewdef('client_type_sum_live'::regclass), '\m(s|client_type_sum_live)\.', '', 'g') as pg_get_viewdef;
select regexp_replace(pg_get_viewdef('client_type_sum_mv'::regclass), '\m(s|client_type_sum_live)\.', '', 'g') as pg_get_viewdef;

select pg_get_triggerdef(oid), tgenabled, obj_description(oid, 'pg_trigger')
from pg_trigger where tgrelid = 'operations'::regclass and not tgisinternal order by tgname;

select count(*) as owned_by_the_extension
from pg_depend
where objid in ('operations'::regclass, 'client_type_sum_live'::regclass, 'client_type_sum_mv'::regclass) and deptype = 'e';

-- The partitions: four of 2025, the current month, three ahead.
with month as (
    select generate_series(date '2025-08-01', date '2025-11-01', interval '1 month')::date as first
    union
    select generate_series(date_trunc('month', current_date), date_trunc('month', current_date) + interval '3 months',
                           interval '1 month')::date
)
select count(*) as months,
       count(*) filter (where pg_get_expr(c.relpartbound, c.oid) =
                              format('FOR VALUES FROM (%L) TO (%L)', first, (first + interval '1 month')::date)) as exact
from month
left join pg_class c on c.oid = to_regclass('operations_' || to_char(first, 'YYYY_MM'));

select count(*) = 8 as no_others from pg_inherits where inhparent = 'operations'::regclass;

-- A second set-up changes nothing.
select max(oid::bigint) as newest from pg_class \gset
call operations_setup();
select max(oid::bigint) = :newest as unchanged from pg_class;
