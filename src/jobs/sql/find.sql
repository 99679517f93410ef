select username::text from @extschema@.operations_job where job_name = $1
