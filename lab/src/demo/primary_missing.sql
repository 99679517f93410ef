-- Who owns the schema can put a function of his in the place of the extension's, and this runs as the superuser.
do $$ begin
    if not exists (
        select
        from pg_catalog.pg_depend as member
        join pg_catalog.pg_extension as extension on extension.oid = member.refobjid
        join pg_catalog.pg_roles as owner on owner.oid = extension.extowner
        where member.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass and member.deptype = 'e'
          and member.objid = pg_catalog.to_regprocedure('public.operations_jobs()')
          and member.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
          and extension.extname = 'operations_ext' and owner.rolsuper
    ) then
        raise exception 'public.operations_jobs() is not the extension''s';
    end if;
end $$;
select 'the replica does not stream yet'
where not exists (
    -- Its name is the client's own word; the slot is one connection's at a time, and the role has logged in.
    select
    from pg_catalog.pg_stat_replication as sender
    join pg_catalog.pg_replication_slots as slot on slot.active_pid = sender.pid
    where slot.slot_name = SLOT and sender.usename = FOLLOWER and sender.state = 'streaming'
)
union all
select case
           when job.job_name is null then pg_catalog.format('the job %s is not scheduled (CALL operations_schedule())', wanted.name)
           when job.last_status = 'failed' then pg_catalog.format('the job %s failed: %s', wanted.name, job.last_message)
           else pg_catalog.format('the job %s has not run yet', wanted.name)
       end
from pg_catalog.unnest(array['operation_insert_one', 'change_status']) as wanted (name)
left join public.operations_jobs() as job on job.job_name = wanted.name
where not coalesce(job.last_status = 'succeeded' and job.last_finished_at > pg_catalog.pg_postmaster_start_time(), false)
