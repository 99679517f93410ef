insert into @extschema@.operations_job (job_name, username)
values ($1, $2)
on conflict (job_name) do update set username = excluded.username
