-- Asks the server to stop when no job runs, or after 10 seconds: on a busy machine a run takes seconds. See primary.sh.
-- It runs as the superuser: where pg_cron is not installed anybody may have made a table of that name.
set search_path = pg_catalog, pg_temp;
-- Each query of the loop must see the runs of its moment, and the database's default may be another level.
set default_transaction_isolation = 'read committed';
do $$ begin
    if (
        select count(*) = 0
        from pg_depend as member
        join pg_extension as extension on extension.oid = member.refobjid
        join pg_class as history on history.oid = member.objid
        join pg_roles as owner on owner.oid = history.relowner
        where member.classid = 'pg_class'::regclass and member.deptype = 'e' and member.objid = to_regclass('cron.job_run_details')
          and member.refclassid = 'pg_extension'::regclass and extension.extname = 'pg_cron' and owner.rolsuper
    ) then
        return;
    end if;
    while clock_timestamp() < now() + interval '10 seconds' loop
        exit when not exists (
            select from cron.job_run_details as run
            where run.status in ('starting', 'running', 'connecting', 'sending')
              and run.runid > (select max(newest.runid) - 100 from cron.job_run_details as newest)
        );
        perform pg_sleep(0.04);
    end loop;
end $$;
\! kill -"$SIGNAL" "$SERVER"
