delete from cron.job_run_details
where end_time < clock_timestamp() - make_interval(days => $1)
