-- What lives in the database, for `make status`. Runs on the primary, or on the replica when that is all there is.
--
-- Who plans a query runs the constant parts of the indexes of what it reads, and this runs as the superuser: it reads what belongs
-- to superusers, and calls what belongs to the extension.
set search_path = pg_catalog, pg_temp;
\set age_of 'CASE WHEN age < interval ''100 s'' THEN round(extract(epoch FROM age), 1) || '' s'' ELSE date_trunc(''second'', age)::text END'
begin;
-- A query that is prepared holds its relations as they are until the end, and runs nothing of them before it is planned.
prepare counts as
select format('operations   %s rows: %s new, %s done', to_char(count(*), 'FM999,999,999,999'),
              to_char(count(*) filter (where status = 0), 'FM999,999,999,999'),
              to_char(count(*) filter (where status = 1), 'FM999,999,999,999'))
from public.operations;

prepare newest as
select format('newest       id %s of %s%s', id, operation_date, '; operation_insert_one last ran ' || :age_of || ' ago')
from (select id, operation_date from public.operations order by id desc limit 1) as newest
left join (
    select clock_timestamp() - last_finished_at as age
    from public.operations_jobs()
    where job_name = 'operation_insert_one' and last_status = 'succeeded'
) as inserted on true;

prepare view as
select format('view         client_type_sum_mv: %s rows, %s', (select count(*) from public.client_type_sum_mv),
              coalesce('brought up to date ' || :age_of || ' ago', 'not brought up to date yet'))
from (
    select clock_timestamp() - max(last_finished_at) filter (where last_status = 'succeeded') as age
    from public.operations_jobs()
    where job_name = 'change_status'
) as refresh;

with recursive parts (oid) as (
    (select 'public.operations'::regclass::oid union select 'public.client_type_sum_mv'::regclass)
    union
    select inhrelid from parts join pg_inherits on inhparent = parts.oid
)
select count(*) > 0 as is_strange,
       -- Whoever may name a relation may put into the name what a terminal obeys.
       regexp_replace(format('not read: %s belongs to %s, who is no superuser', min(format('%s', parts.oid::regclass)),
                             (array_agg(rolname order by format('%s', parts.oid::regclass)))[1]),
                      '[\u0001-\u001f\u007f-\u009f]', '?', 'g') as strange
from parts
join pg_class on pg_class.oid = parts.oid
join pg_roles on pg_roles.oid = relowner
where not rolsuper \gset
select not exists (
    select
    from pg_depend
    join pg_extension on pg_extension.oid = refobjid
    join pg_roles on pg_roles.oid = extowner
    where classid = 'pg_proc'::regclass and objid = to_regprocedure('public.operations_jobs()') and deptype = 'e'
      and refclassid = 'pg_extension'::regclass and extname = 'operations_ext' and rolsuper
) as no_jobs \gset
\if :no_jobs
    \set is_strange true
    \set strange 'not read: public.operations_jobs() is not the extension''s'
\endif
\if :is_strange
    \echo 'operations  ' :strange
\else
    execute counts;
    execute newest;
    execute view;
\endif

-- By their bounds: a partition may have any name. What is ahead ends at the first hole.
with bounds as (
    select pg_get_expr(part.relpartbound, part.oid) as bound
    from pg_inherits
    join pg_class as part on part.oid = inhrelid
    where inhparent = 'public.operations'::regclass and not inhdetachpending
),
months as (
    select distinct generate_series(date_trunc('month', lower::timestamp), upper::timestamp - interval '1 day', '1 month') as month
    from bounds
    cross join lateral (
        select substring(bound from '^FOR VALUES FROM \(''([^'']+)''\)')::date, substring(bound from ' TO \(''([^'']+)''\)$')::date
    ) as ends (lower, upper)
),
span as (
    select min(month) as first, max(month) as last, date_trunc('month', current_date::timestamp) as today, count(*) from months
),
holes as (
    select month from span, generate_series(first, greatest(last, today), '1 month') as month
    except
    select month from months
)
select format('partitions   %s months, %s to %s; %s ahead of today%s', count, to_char(first, 'YYYY-MM'), to_char(last, 'YYYY-MM'),
              (select count(*) from months
               where month > today and month < coalesce((select min(month) from holes where month > today), 'infinity')),
              (select '; none for ' || string_agg(to_char(month, 'YYYY-MM'), ', ' order by month) from holes))
from span;

\if :no_jobs
    \quit
\endif
\echo
select exists (select from public.operations_jobs()) as any_job \gset
\if :any_job
\pset tuples_only off
\pset format aligned
\pset border 0
\pset footer off
select job_name as job, schedule as every, scheduler as "run by", runs, failures, coalesce(last_status, 'never ran') as last,
       coalesce(:age_of || ' ago', '') as ended, left(case when last_status = 'failed' then last_message end, 60) as message
from public.operations_jobs()
cross join lateral (select clock_timestamp() - last_finished_at) as ended (age)
order by job_name;
\else
\echo 'jobs: none scheduled (call operations_schedule();)'
\endif
