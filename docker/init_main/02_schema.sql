-- What the extension must not own, so that pg_dump keeps it: the table, its partitions, the materialized view.
call public.operations_setup();
