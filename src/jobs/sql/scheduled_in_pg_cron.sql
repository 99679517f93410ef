-- $1, $2: name and command of a job, which any role may run that may execute its procedure.
select
from cron.job as job
join pg_roles as role on role.rolname = job.username
join pg_proc as procedure on procedure.pronamespace = '@extschema@'::regnamespace and procedure.proname = job.jobname
where job.jobname = $1 and job.command = $2 and job.database = current_database() and job.active
  and has_function_privilege(role.oid, procedure.oid, 'EXECUTE')
