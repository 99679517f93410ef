-- Citus, and its workers, before all else: what follows on the coordinator Citus does on them, too.
\set workers ''
\getenv workers OPERATIONS_WORKERS
create extension if not exists citus;
select pg_catalog.citus_set_coordinator_host('postgres_primary');
select pg_catalog.citus_add_node(worker, 5432) from pg_catalog.string_to_table(:'workers', ' ') as worker;
