-- Without pg_cron the jobs are the worker's. This server did not preload the library, and that is said.
\set VERBOSITY default
call operations_schedule();
call operations_schedule();
select job_name, scheduler, schedule, active, runs, failures, last_status from operations_jobs();
select job_name, username = current_user as mine from operations_job order by job_name;
-- Old records of runs go, new ones stay.
insert into operations_job_run_details (job_name, started_at, finished_at, status, return_message)
values ('change_status', now() - interval '9 days', now() - interval '9 days', 'failed', '22012: division by zero'),
       ('change_status', now() - interval '6 days', now() - interval '6 days', 'failed', '22012: division by zero'),
       ('change_status', now(), now(), 'succeeded', null);
select job_name, runs, failures, last_status from operations_jobs() where runs > 0;
call operations_prune_job_history();
select job_name, runs, failures, last_status from operations_jobs() where runs > 0;
call operations_prune_job_history(0);
select count(*) from operations_job_run_details;
call operations_unschedule();
select count(*) from operations_jobs();
call operations_unschedule();
