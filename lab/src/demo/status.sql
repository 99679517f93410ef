-- What lives in the database, for `make status`. Runs on the primary, or on the replica when that is all there is.
\set age_of 'CASE WHEN age < interval ''100 s'' THEN round(extract(epoch FROM age), 1) || '' s'' ELSE date_trunc(''second'', age)::text END'

select format('operations   %s rows: %s new, %s done', to_char(count(*), 'FM999,999,999,999'),
              to_char(count(*) filter (where status = 0), 'FM999,999,999,999'),
              to_char(count(*) filter (where status = 1), 'FM999,999,999,999'))
from public.operations;

select format('newest       id %s of %s, %s old', id, operation_date, coalesce(:age_of, 'of unknown age'))
from (
    select id, operation_date, case when current_setting('track_commit_timestamp')::boolean then clock_timestamp() - pg_xact_commit_timestamp(xmin) end as age
    from public.operations
    order by id desc
    limit 1
) as newest;

select format('view         client_type_sum_mv: %s rows, %s', (select count(*) from public.client_type_sum_mv),
              coalesce('brought up to date ' || :age_of || ' ago', 'not brought up to date yet'))
from (
    select clock_timestamp() - max(last_finished_at) filter (where last_status = 'succeeded') as age
    from public.operations_jobs()
    where job_name = 'change_status'
) as refresh;

select format('partitions   %s months, %s to %s; %s ahead of today', count(*), min(month), max(month),
              count(*) filter (where month > to_char(current_date, 'YYYY-MM')))
from pg_inherits
join pg_class as part on part.oid = inhrelid
cross join lateral (select replace(substring(part.relname from '^operations_(\d{4}_\d{2})$'), '_', '-')) as name (month)
where inhparent = 'public.operations'::regclass and month is not null;

\echo
\pset tuples_only off
\pset format aligned
\pset border 0
\pset footer off
select job_name as job, schedule as every, scheduler as "run by", runs, failures, coalesce(last_status, 'never ran') as last,
       coalesce(:age_of || ' ago', '') as ended, left(case when last_status = 'failed' then last_message end, 60) as message
from public.operations_jobs()
cross join lateral (select clock_timestamp() - last_finished_at) as ended (age)
order by job_name;
