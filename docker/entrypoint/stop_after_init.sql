-- The server of the init files is about to be stopped: no job is to be cut short by that, and none to begin. From the next start on
-- they begin again. The launcher of pg_cron alone reads the settings anew: the server itself would call its listen_addresses an error.
select coalesce(min(pid), 0) as launcher from pg_catalog.pg_stat_activity where backend_type = 'pg_cron launcher' \gset
select :launcher > 0 and exists (select from pg_catalog.pg_settings where name = 'cron.launch_active_jobs') as may_be_held \gset
\if :may_be_held
    alter system set cron.launch_active_jobs = off;
    \setenv LAUNCHER :launcher
    \! kill -HUP "$LAUNCHER"
    -- It heeds that within a second, as it looks for jobs.
    select pg_catalog.pg_sleep(1.1);
\endif
\ir jobs_rest.sql
\if :may_be_held
    alter system reset cron.launch_active_jobs;
\endif
