-- $1, $2: name and command of a job; $3: the role it runs as. Anybody may give a job of theirs any name.
select from cron.job
where jobname = $1 and command = $2 and username = $3 and database = current_database() and active
