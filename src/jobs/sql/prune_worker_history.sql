delete from @extschema@.operations_job_run_details
where finished_at < clock_timestamp() - make_interval(days => $1)
