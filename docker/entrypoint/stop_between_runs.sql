-- Waits until no job of this moment runs, for two seconds at most, and asks the server to stop. See primary.sh.
do $$ begin
    for attempt in 1..20 loop
        exit when not exists (
            select from cron.job_run_details as run
            where run.status in ('starting', 'running', 'connecting', 'sending')
              and run.runid > (select pg_catalog.max(newest.runid) - 100 from cron.job_run_details as newest)
        );
        perform pg_catalog.pg_sleep(0.04);
    end loop;
end $$;
\! kill -"$SIGNAL" "$SERVER"
