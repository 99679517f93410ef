-- What lives in the database, for `make status`. Runs on the primary, or on the replica when that is all there is.
\set age_of 'CASE WHEN age < interval ''100 s'' THEN round(extract(epoch FROM age), 1) || '' s'' ELSE date_trunc(''second'', age)::text END'

SELECT format('operations   %s rows: %s new, %s done', to_char(count(*), 'FM999,999,999,999'),
              to_char(count(*) FILTER (WHERE status = 0), 'FM999,999,999,999'),
              to_char(count(*) FILTER (WHERE status = 1), 'FM999,999,999,999'))
FROM public.operations;

SELECT format('newest       id %s of %s, %s old', id, operation_date, coalesce(:age_of, 'of unknown age'))
FROM (
    SELECT id, operation_date, CASE WHEN current_setting('track_commit_timestamp')::boolean THEN clock_timestamp() - pg_xact_commit_timestamp(xmin) END AS age
    FROM public.operations
    ORDER BY id DESC
    LIMIT 1
) AS newest;

SELECT format('view         client_type_sum_mv: %s rows, %s', (SELECT count(*) FROM public.client_type_sum_mv),
              coalesce('brought up to date ' || :age_of || ' ago', 'not brought up to date yet'))
FROM (
    SELECT clock_timestamp() - max(last_finished_at) FILTER (WHERE last_status = 'succeeded') AS age
    FROM public.operations_jobs()
    WHERE job_name = 'change_status'
) AS refresh;

SELECT format('partitions   %s months, %s to %s; %s ahead of today', count(*), min(month), max(month),
              count(*) FILTER (WHERE month > to_char(current_date, 'YYYY-MM')))
FROM pg_inherits
JOIN pg_class AS part ON part.oid = inhrelid
CROSS JOIN LATERAL (SELECT replace(substring(part.relname FROM '^operations_(\d{4}_\d{2})$'), '_', '-')) AS name (month)
WHERE inhparent = 'public.operations'::regclass AND month IS NOT NULL;

\echo
\pset tuples_only off
\pset format aligned
\pset border 0
\pset footer off
SELECT job_name AS job, schedule AS every, scheduler AS "run by", runs, failures, coalesce(last_status, 'never ran') AS last,
       coalesce(:age_of || ' ago', '') AS ended, left(CASE WHEN last_status = 'failed' THEN last_message END, 60) AS message
FROM public.operations_jobs()
CROSS JOIN LATERAL (SELECT clock_timestamp() - last_finished_at) AS ended (age)
ORDER BY job_name;
