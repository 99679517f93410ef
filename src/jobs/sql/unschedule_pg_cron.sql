-- $1: names of jobs; $2: their commands; $3: only those that another role than this runs, or all if it is null.
select cron.unschedule(jobid)
from cron.job
where jobname = any ($1) and command = any ($2) and database = current_database() and username is distinct from $3
