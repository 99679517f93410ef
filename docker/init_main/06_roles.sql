-- Roles to be granted to people and programs. Nobody logs in as one of them.
SELECT format('CREATE ROLE %I NOLOGIN', role)
FROM unnest(ARRAY['operations_reader', 'operations_worker']) AS role
WHERE role NOT IN (SELECT rolname FROM pg_catalog.pg_roles) \gexec

COMMENT ON ROLE operations_reader IS 'Reads operations, client_type_sum_mv and the state of the jobs.';
COMMENT ON ROLE operations_worker IS 'Does the work: inserts operations and changes their status.';

GRANT USAGE ON SCHEMA public TO operations_reader, operations_worker;
GRANT SELECT ON public.operations, public.client_type_sum_mv TO operations_reader, operations_worker;
GRANT SELECT ON public.operations_job, public.operations_job_run_details TO operations_reader, operations_worker;
GRANT INSERT, UPDATE (status) ON public.operations TO operations_worker;
GRANT EXECUTE ON PROCEDURE public.operation_insert_one(), public.change_status(integer) TO operations_worker;
