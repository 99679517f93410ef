-- The jobs. pg_cron runs them where the server has loaded it for this database, else the extension's own worker.
SELECT current_setting('cron.database_name', true) IS NOT DISTINCT FROM current_database()
   AND current_setting('shared_preload_libraries') ~ '\mpg_cron\M'
   AND EXISTS (SELECT FROM pg_catalog.pg_available_extensions WHERE name = 'pg_cron') AS pg_cron \gset
\if :pg_cron
    CREATE EXTENSION IF NOT EXISTS pg_cron;
\endif
CALL public.operations_schedule();
