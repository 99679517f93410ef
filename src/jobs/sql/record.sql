insert into @extschema@.operations_job_run_details (job_name, started_at, status, return_message)
values ($1, $2, $3, $4)
