select cron.unschedule(jobid)
from cron.job
where jobname = any ($1) and database = current_database()
