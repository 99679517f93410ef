-- The jobs' last runs. The last success is older than the last run where that failed.
select j.job_name as job,
       j.active::int::float8 as job_active,
       extract(epoch from j.last_started_at)::float8 as job_last_start_timestamp_seconds,
       extract(epoch from j.last_finished_at)::float8 as job_last_end_timestamp_seconds,
       (j.last_status = 'succeeded')::int::float8 as job_last_run_succeeded,
       extract(epoch from case when j.last_status = 'succeeded' then j.last_finished_at else s.finished_at end)::float8
           as job_last_success_timestamp_seconds
from @schema@.operations_jobs() j
left join lateral (
    select d.finished_at
    from @schema@.operations_job_run_details d
    where j.last_status is distinct from 'succeeded' and d.job_name = j.job_name and d.status = 'succeeded'
    order by d.finished_at desc
    limit 1
) s on true
order by j.job_name
limit 20
