select from cron.job where jobname = $1 and database = current_database() and active
