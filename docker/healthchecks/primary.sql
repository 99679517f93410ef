-- What keeps the primary from being healthy, one reason a row. It runs every few seconds, so it looks only at the newest
-- thousand runs, by their key: a day's history has tens of thousands.
select 'this server is in recovery, not a primary'
where pg_catalog.pg_is_in_recovery()
union all
select pg_catalog.format('job %s %s', wanted.job_name, judged.reason)
from (values ('operation_insert_one'), ('change_status')) as wanted (job_name)
left join cron.job on job.jobname = wanted.job_name and job.database = pg_catalog.current_database()
left join lateral (
    select run.status, run.return_message, run.start_time
    from cron.job_run_details as run
    where run.jobid = job.jobid
      and run.runid > (select pg_catalog.max(newest.runid) - 1000 from cron.job_run_details as newest)
      and run.status in ('succeeded', 'failed')
    order by run.runid desc
    limit 1
) as last_run on true
cross join lateral (
    select case
        when job.jobid is null then 'is not scheduled: CALL operations_schedule()'
        when not job.active then 'is switched off'
        when last_run.status is null then 'has not run yet'
        when last_run.status = 'failed' then 'failed: ' || coalesce(last_run.return_message, '')
        when last_run.start_time < pg_catalog.clock_timestamp() - interval '60 seconds' then 'has not run for a minute'
    end
) as judged (reason)
where judged.reason is not null;
