set datestyle = iso;
-- The sums of the rows, to compare with.
create view pg_temp.actual as
    select client_id, operation_type, sum(amount) as total_amount from operations where status = 1 group by 1, 2;
create view pg_temp.live_is_wrong as
    (table client_type_sum_live except all table pg_temp.actual)
    union all (table pg_temp.actual except all table client_type_sum_live);
create view pg_temp.mv_is_wrong as
    (table client_type_sum_mv except all table pg_temp.actual)
    union all (table pg_temp.actual except all table client_type_sum_mv);
create view pg_temp.is_wrong as table pg_temp.live_is_wrong union all table pg_temp.mv_is_wrong;
create function pg_temp.done(day date, client int, value numeric) returns void
begin atomic
    insert into operations (operation_date, operation_guid, client_id, operation_type, amount, status, message)
    values (day, gen_random_uuid(), client, 'online', value, 1, '{}');
end;

call operations_maintain_partitions();
call operations_test_data('2025-08-01', '2025-11-30', 5000, 6);
call change_status(2000);
select count(*) > 500 as sums from client_type_sum_live;
select count(*) from pg_temp.is_wrong;
-- All partitions are tracked, and nothing is left to fold.
select count(*) as not_tracked
from operations_partition_version left join operations_rollup_partition r using (partition, version)
where r.partition is null;
select count(*) from operations_delta;

-- Whatever changes rows. Each step is compared before it is folded.
update operations set status = 1 - status where id % 7 = 0;
select count(*) from pg_temp.live_is_wrong;
update operations set amount = amount + 1.5 where id % 5 = 0;
select count(*) from pg_temp.live_is_wrong;
update operations set client_id = client_id + 1, operation_type = 'online' where id % 11 = 0;
select count(*) from pg_temp.live_is_wrong;
update operations set operation_date = operation_date + 30, status = 1 where id % 17 = 0;
select count(*) from pg_temp.live_is_wrong;
delete from operations where id % 23 = 0;
select count(*) from pg_temp.live_is_wrong;
merge into operations o
using (select operation_date, id, status from operations where id % 13 = 0) s
on o.operation_date = s.operation_date and o.id = s.id
when matched and s.status = 1 then delete
when matched then update set status = 1, amount = 7;
select count(*) from pg_temp.live_is_wrong;
insert into operations (id, operation_date, operation_guid, client_id, operation_type, amount, status, message)
overriding system value
select id, operation_date, operation_guid, client_id, operation_type, amount, status, message from operations where id % 3 = 0
on conflict (operation_date, id) do update set status = 1 - excluded.status, amount = excluded.amount + 1;
select count(*) from pg_temp.live_is_wrong;
copy operations (operation_date, operation_guid, client_id, operation_type, amount, status, message) from stdin;
2025-08-09	0c3c3a3a-0000-4000-8000-000000000001	7	online	12.50	1	{}
2025-10-09	0c3c3a3a-0000-4000-8000-000000000002	5001	offline	0.01	1	{}
2025-10-09	0c3c3a3a-0000-4000-8000-000000000003	5001	offline	3.00	0	{}
\.
select * from client_type_sum_live where client_id = 5001;
select count(*) from pg_temp.live_is_wrong;
update operations_2025_08 set amount = amount + 1;
select count(*) from pg_temp.live_is_wrong;
call change_status(1);
select count(*) from pg_temp.is_wrong;

-- In a transaction, after a savepoint, after what was rolled back.
begin;
update operations set status = 1 - status where id % 2 = 0;
savepoint before_delete;
delete from operations;
select count(*) from client_type_sum_live;
rollback to before_delete;
select count(*) from pg_temp.live_is_wrong;
call change_status(1);
select count(*) from pg_temp.is_wrong;
rollback;
select count(*) from pg_temp.is_wrong;

-- What triggers are not told about.
truncate operations_2025_09;
select count(*) from pg_temp.live_is_wrong;
call change_status(1);
select count(*) from pg_temp.is_wrong;
-- TRUNCATE empties a file of the same transaction in place.
begin;
truncate operations_2025_09;
select pg_temp.done('2025-09-09', 9, 9);
call change_status(1);
truncate operations_2025_09;
select count(*) from pg_temp.live_is_wrong;
commit;
call change_status(1);
select count(*) from pg_temp.is_wrong;
alter table operations detach partition operations_2025_10;
select count(*) from pg_temp.live_is_wrong;
update operations_2025_10 set amount = amount + 1, status = 1;
alter table operations attach partition operations_2025_10 for values from ('2025-10-01') to ('2025-11-01');
select count(*) from pg_temp.live_is_wrong;
call change_status(1);
select count(*) from pg_temp.is_wrong;
alter table operations disable trigger operations_count_update;
update operations set amount = amount + 1;
select count(*) from pg_temp.live_is_wrong;
call change_status(1);
alter table operations enable always trigger operations_count_update;
update operations set amount = amount + 1;
select count(*) from pg_temp.live_is_wrong;
-- Triggers that do not always fire are put right by another set-up.
alter table operations enable trigger all;
call operations_setup();
select count(*) from operations_partition_version where not counted;
set session_replication_role = replica;
update operations set amount = amount + 1;
reset session_replication_role;
select count(*) from pg_temp.live_is_wrong;
alter table operations add column note text default gen_random_uuid()::text;
select count(*) from pg_temp.live_is_wrong;
alter table operations drop column note;
vacuum full operations_2025_11;
select count(*) from pg_temp.live_is_wrong;
create table operations_rest partition of operations default;
select pg_temp.done('2050-01-01', 9, 9);
select count(*) from pg_temp.live_is_wrong;
call change_status(1);
select pg_temp.done('2050-01-01', 9, 9);
drop table operations_rest;
select count(*) from pg_temp.live_is_wrong;
call change_status(1);
select count(*) from pg_temp.is_wrong;

-- A refresh that would change nothing is not run: it would make a new row of every sum that it changes.
select sum(xmin::text::bigint) as newest from client_type_sum_mv \gset
update operations set status = 1;
call change_status();
select sum(xmin::text::bigint) <> :newest as refreshed from client_type_sum_mv;
-- REFRESH makes a table for its work, which takes numbers for objects.
create temp table one ();
create temp table two ();
call change_status();
create temp table three ();
select 'three'::regclass::oid::bigint - 'two'::regclass::oid::bigint
     = 'two'::regclass::oid::bigint - 'one'::regclass::oid::bigint as nothing_made;

-- An amount that no sum can follow is refused once it would count, and counted as PostgreSQL does where it came another way.
\set VERBOSITY default
select pg_temp.done('2025-09-09', 9, 'NaN');
\echo :LAST_ERROR_SQLSTATE
alter table operations_2025_09 disable trigger all;
select pg_temp.done('2025-09-09', 9, 'NaN');
select * from client_type_sum_live where client_id = 9;
call operations_setup();
call change_status();
select count(*) from pg_temp.is_wrong;
delete from operations where amount = 'NaN';
call change_status();
select count(*) from pg_temp.is_wrong;

-- Nothing differs; what was broken by hand is found and repaired.
select * from operations_verify_rollup();
update operations_rollup_total set amount = amount + 100 where client_id = 7 and operation_type = 'online';
select client_id, operation_type, rolled_up_amount - actual_amount as difference from operations_verify_rollup();
select client_id, operation_type, rolled_up_amount - actual_amount as difference from operations_verify_rollup(true);
select * from operations_verify_rollup();
select count(*) from pg_temp.is_wrong;
begin read only;
select * from operations_verify_rollup();
select * from operations_verify_rollup(true);
\echo :LAST_ERROR_SQLSTATE
rollback;

-- Who may write operations needs no right on the rollups; who may read the sums may read them also where they are not tracked.
create role operations_regress_writer;
create role operations_regress_reader;
create role operations_regress_stranger;
grant select, insert, update, delete on operations to operations_regress_writer;
grant select on client_type_sum_live to operations_regress_reader;
grant execute on function pg_temp.done(date, int, numeric) to operations_regress_writer;
set role operations_regress_writer;
update operations set amount = amount + 1 where id % 2 = 0;
delete from operations where id % 5 = 0;
select count(*) from operations_delta;
\echo :LAST_ERROR_SQLSTATE
reset role;
select count(*) from pg_temp.live_is_wrong;
truncate operations_2025_10;
select count(*) as sums from client_type_sum_live \gset
set role operations_regress_reader;
select count(*) = :sums as the_same from client_type_sum_live;
select count(*) from operations_rollup_live;
\echo :LAST_ERROR_SQLSTATE
set role operations_regress_stranger;
select count(*) from client_type_sum_live;
\echo :LAST_ERROR_SQLSTATE
select count(*) from operations_direct_sums(null);
\echo :LAST_ERROR_SQLSTATE
select count(*) from operations_verify_rollup();
\echo :LAST_ERROR_SQLSTATE
-- The function of the triggers counts nothing elsewhere.
create temp table mine (client_id int, operation_type operation_type_enum, amount numeric, status smallint);
create trigger mine after insert on mine for each row execute function operations_count_change();
insert into mine values (1, 'online', 1, 1);
\echo :LAST_ERROR_SQLSTATE
reset role;
drop owned by operations_regress_writer, operations_regress_reader, operations_regress_stranger;
drop role operations_regress_writer, operations_regress_reader, operations_regress_stranger;

delete from operations;
call change_status();
select count(*) from client_type_sum_mv;
select (select count(*) from operations_rollup) as rollup, (select count(*) from operations_rollup_total) as total;
