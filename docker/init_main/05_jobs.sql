-- The jobs. pg_cron runs them where the server has loaded it for this database, else the extension's own worker.
select current_setting('cron.database_name', true) is not distinct from current_database()
   and current_setting('shared_preload_libraries') ~ '\mpg_cron\M'
   and exists (select from pg_catalog.pg_available_extensions where name = 'pg_cron') as pg_cron \gset
\if :pg_cron
    create extension if not exists pg_cron;
\endif
call public.operations_schedule();
