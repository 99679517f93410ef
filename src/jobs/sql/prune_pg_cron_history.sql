-- $2: the commands of the jobs. Only the runs of the current role's: pg_cron runs other people's jobs, too.
delete from cron.job_run_details
where end_time < clock_timestamp() - make_interval(days => $1)
  and command = any ($2) and database = current_database() and username = current_user
