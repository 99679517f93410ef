-- Each error as a user sees it, and its SQLSTATE.
\set VERBOSITY default
\set SHOW_CONTEXT never
set datestyle = iso;

call operations_test_data(null, '2025-09-30', 10);
\echo :LAST_ERROR_SQLSTATE
call operations_test_data('2025-08-01', null, 10);
\echo :LAST_ERROR_SQLSTATE
call operations_test_data('2025-08-01', '2025-09-30', null);
\echo :LAST_ERROR_SQLSTATE
call operations_test_data('2025-09-30', '2025-08-01', 10);
\echo :LAST_ERROR_SQLSTATE
call operations_test_data('-infinity', '2025-08-01', 10);
\echo :LAST_ERROR_SQLSTATE
call operations_test_data('2025-08-01', 'infinity', 10);
\echo :LAST_ERROR_SQLSTATE
call operations_test_data('9999-01-01', '9999-12-31', 10);
\echo :LAST_ERROR_SQLSTATE
call operations_test_data('2025-08-01', '9999-12-31', 10);
\echo :LAST_ERROR_SQLSTATE
call operations_test_data('4713-01-01 BC', '2025-12-31', 10);
\echo :LAST_ERROR_SQLSTATE
call operations_test_data('1970-01-01', '2100-12-31', 10);
\echo :LAST_ERROR_SQLSTATE
call operations_test_data('2025-08-01', '2025-09-30', 0);
\echo :LAST_ERROR_SQLSTATE
call operations_test_data('2025-08-01', '2025-09-30', -1);
\echo :LAST_ERROR_SQLSTATE
call operations_test_data('2025-08-01', '2025-09-30', 1000000000000000000);
\echo :LAST_ERROR_SQLSTATE
call operations_test_data('2025-08-01', '2025-09-30', 10, p_workers => 0);
\echo :LAST_ERROR_SQLSTATE
call operations_test_data('2025-08-01', '2025-09-30', 10, p_workers => 1025);
\echo :LAST_ERROR_SQLSTATE
call operations_test_data('2025-08-01', '2025-09-30', 10, 9223372036854775808);
\echo :LAST_ERROR_SQLSTATE

call change_status(null);
\echo :LAST_ERROR_SQLSTATE
call change_status(0);
\echo :LAST_ERROR_SQLSTATE
call change_status(-5);
\echo :LAST_ERROR_SQLSTATE

call operations_maintain_partitions(null);
\echo :LAST_ERROR_SQLSTATE
call operations_maintain_partitions(-1);
\echo :LAST_ERROR_SQLSTATE
call operations_maintain_partitions(1201);
\echo :LAST_ERROR_SQLSTATE
call operations_maintain_partitions(3, -1);
\echo :LAST_ERROR_SQLSTATE

call operations_prune_job_history(null);
\echo :LAST_ERROR_SQLSTATE
call operations_prune_job_history(-1);
\echo :LAST_ERROR_SQLSTATE

-- An unknown label and values that the table does not take are PostgreSQL's own errors.
select 'telepathic'::operation_type_enum;
\echo :LAST_ERROR_SQLSTATE
\set VERBOSITY terse
insert into operations (operation_date, operation_guid, client_id, operation_type, amount, message)
values ('2025-08-01', gen_random_uuid(), 1, 'online', 0, '{}');
\echo :LAST_ERROR_SQLSTATE
update operations set status = 2;
insert into operations (operation_date, operation_guid, client_id, operation_type, amount, status, message)
values ('2025-08-01', gen_random_uuid(), 1, 'online', 1, 2, '{}');
\echo :LAST_ERROR_SQLSTATE
\set VERBOSITY default

-- In a read-only transaction.
begin read only;
call operation_insert_one();
\echo :LAST_ERROR_SQLSTATE
rollback;
begin read only;
call change_status();
\echo :LAST_ERROR_SQLSTATE
rollback;
begin read only;
call operations_test_data('2025-08-01', '2025-09-30', 10);
\echo :LAST_ERROR_SQLSTATE
rollback;
begin read only;
call operations_setup();
\echo :LAST_ERROR_SQLSTATE
rollback;
begin read only;
call operations_schedule();
\echo :LAST_ERROR_SQLSTATE
rollback;

-- Where the objects are missing or are not what they should be.
begin;
drop materialized view client_type_sum_mv;
call change_status();
\echo :LAST_ERROR_SQLSTATE
rollback;
begin;
alter table operations rename to operations_away;
call operation_insert_one();
\echo :LAST_ERROR_SQLSTATE
rollback;
begin;
alter table operations rename to operations_away;
call operations_test_data('2025-08-01', '2025-09-30', 10);
\echo :LAST_ERROR_SQLSTATE
rollback;
begin;
alter table operations rename to operations_away;
create table operations (id bigint);
call operation_insert_one();
\echo :LAST_ERROR_SQLSTATE
rollback;
begin;
create table half_of_may partition of operations for values from ('2024-05-01') to ('2024-05-16');
call operations_test_data('2024-05-20', '2024-05-31', 10);
\echo :LAST_ERROR_SQLSTATE
rollback;

-- A role without rights.
create role operations_regress_stranger;
set role operations_regress_stranger;
call operation_insert_one();
\echo :LAST_ERROR_SQLSTATE
call operations_setup();
\echo :LAST_ERROR_SQLSTATE
reset role;
-- A role that may call the procedure, but may not write the table.
grant execute on procedure operations_test_data(date, date, bigint, bigint, integer) to operations_regress_stranger;
set role operations_regress_stranger;
call operations_test_data('2025-08-01', '2025-09-30', 10);
\echo :LAST_ERROR_SQLSTATE
reset role;
-- A role that row-level security applies to.
begin;
grant insert on operations to operations_regress_stranger;
alter table operations enable row level security;
set role operations_regress_stranger;
call operations_test_data('2025-08-01', '2025-09-30', 10);
\echo :LAST_ERROR_SQLSTATE
rollback;
drop owned by operations_regress_stranger;
drop role operations_regress_stranger;

-- All that has changed nothing.
select count(*) as operations from operations;
select count(*) as partitions from pg_inherits where inhparent = 'operations'::regclass;

-- The workload's size.
alter system set operations_ext.insert_batch = 0;
alter system set operations_ext.insert_batch = 10001;
alter system set operations_ext.insert_batch = 'many';
set operations_ext.insert_batch = 5;
set operations_ext.load_rows_per_process = 0;
