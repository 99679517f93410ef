select 'the replica does not stream yet'
where not exists (select from pg_catalog.pg_stat_replication where application_name = SLOT and state = 'streaming')
union all
select case
           when job.job_name is null then pg_catalog.format('the job %s is not scheduled (CALL operations_schedule())', wanted.name)
           when job.last_status = 'failed' then pg_catalog.format('the job %s failed: %s', wanted.name, job.last_message)
           else pg_catalog.format('the job %s has not run yet', wanted.name)
       end
from pg_catalog.unnest(array['operation_insert_one', 'change_status']) as wanted (name)
left join public.operations_jobs() as job on job.job_name = wanted.name
where not coalesce(job.last_status = 'succeeded' and job.last_finished_at > pg_catalog.pg_postmaster_start_time(), false)
