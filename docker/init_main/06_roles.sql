-- Roles to be granted to people and programs. Nobody logs in as one of them.
select format('create role %I nologin', role)
from unnest(array['operations_reader', 'operations_worker', 'operations_load', 'operations_monitor']) as role
where role not in (select rolname from pg_catalog.pg_roles) \gexec

comment on role operations_reader is 'Reads operations, its sums and the state of the jobs.';
comment on role operations_worker is 'Does the work: inserts operations and changes their status.';

grant usage on schema public to operations_reader, operations_worker;
grant select on public.operations, public.client_type_sum_mv, public.client_type_sum_live to operations_reader, operations_worker;
grant select on public.operations_job, public.operations_job_run_details to operations_reader, operations_worker;
grant select on public.operations_load_progress to operations_reader, operations_worker;
-- What client_type_sum_live reads where operations_distribute() has distributed operations; empty elsewhere.
grant select on public.operations_shard_rollup, public.operations_shard_delta to operations_reader, operations_worker;
grant execute on function public.operations_loads(), public.operations_jobs() to operations_reader, operations_worker;
grant insert, update (status) on public.operations to operations_worker;
grant execute on procedure public.operation_insert_one(), public.change_status(integer) to operations_worker;

-- What the scripts of a load do besides: correct amounts, and take operations back.
comment on role operations_load is 'Loads the server: does the work, corrects amounts and deletes operations.';
grant operations_worker to operations_load;
grant update (amount), delete on public.operations to operations_load;

-- What the doctor reads, and no more.
comment on role operations_monitor is 'Examines the server: may call operations_doctor().';
grant pg_monitor, operations_reader to operations_monitor;
grant usage on schema public to operations_monitor;
grant select on public.operations_delta, public.operations_rollup, public.operations_rollup_total,
    public.operations_rollup_partition, public.operations_partition_version, public.operations_shard_state to operations_monitor;
grant execute on function public.operations_doctor(boolean), public.operations_doctor_server(), public.operations_doctor_replication(),
    public.operations_doctor_vacuum(), public.operations_doctor_growth(), public.operations_doctor_jobs(),
    public.operations_pg_cron_jobs(), public.operations_doctor_partitions(), public.operations_doctor_sums(boolean), public.operations_stale_sums(),
    public.operations_sampled_sums() to operations_monitor;
