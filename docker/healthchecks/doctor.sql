-- What the doctor calls broken, or cannot see, of both servers. In the order in which it should be read.
select pg_catalog.format('%s: %s; %s', found.code, found.evidence, found.next_command)
from (
    select 1 as topic, * from public.operations_doctor_server()
    union all select 2, * from public.operations_doctor_replication()
    union all select 3, * from public.operations_doctor_jobs()
    union all select 4, * from public.operations_doctor_partitions()
) as found
where found.severity in ('broken', 'unknown') and found.code <> 'slot_lost'
order by found.topic, found.code, found.evidence;

-- The doctor waits for two intervals before it calls a job late. Up is who has seen each of them run.
select pg_catalog.format('job_waits: the job %s has not run yet', job.job_name)
from public.operations_jobs() as job
where job.runs = 0 and job.active and job.job_name in ('operation_insert_one', 'change_status')
  and not pg_catalog.pg_is_in_recovery();
