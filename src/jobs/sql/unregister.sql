delete from @extschema@.operations_job
