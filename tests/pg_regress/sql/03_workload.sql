set datestyle = iso;
-- Test data: exactly so many, new, over the closed interval, the same again for the same seed.
call operations_test_data('2025-08-15', '2025-10-14', 6100, 1);
select count(*), min(operation_date), max(operation_date), count(distinct operation_date) as days,
       min(status), max(status), count(distinct operation_type) as types
from operations;
select tableoid::regclass::text as partition, count(*) from operations group by 1 order by 1;
select bool_and(amount > 0 and amount = round(amount, 2)) as money,
       bool_and(client_id between 1 and 5000) as clients,
       bool_and((message ->> 'client_id')::int = client_id
                and message ->> 'operation_type' = operation_type::text
                and (message ->> 'amount')::numeric = amount
                and message ->> 'account_number' ~ '^ZZ[0-9]{18}$') as message_agrees,
       bool_and(operation_guid::text ~ '^.{14}4.{4}[89ab]') as guids_are_v4
from operations;
-- The digest stands for the rows on every machine.
select md5(string_agg(concat_ws(',', operation_date, operation_guid, client_id, operation_type, amount, message), ';'
                      order by id)) as digest
from operations;
create temp table first_load as select operation_guid from operations;
delete from operations;
call operations_test_data('2025-08-15', '2025-10-14', 6100, 1);
select count(*) as the_same from operations join first_load using (operation_guid);
delete from operations;
call operations_test_data('2025-08-15', '2025-10-14', 6100);
select count(*) as the_same from operations join first_load using (operation_guid);
delete from operations;
-- All or none: the last row breaks a constraint.
alter table operations add constraint no_september check (operation_date <> '2025-09-30');
call operations_test_data('2025-08-01', '2025-09-30', 1000, 1);
\echo :LAST_ERROR_SQLSTATE
select count(*) from operations;
alter table operations drop constraint no_september;
-- Partitions that are needed are made.
call operations_test_data('2024-02-28', '2024-03-01', 3, 1);
select tableoid::regclass::text as partition, operation_date from operations order by operation_date;
delete from operations;
drop table operations_2024_02, operations_2024_03;

-- One operation, today, also when its month is missing and whatever else is on the search_path.
call operation_insert_one();
select operation_date = current_date as today, status from operations;
select 'operations_' || to_char(current_date, 'YYYY_MM') as this_month \gset
drop table :this_month;
call operation_insert_one();
set search_path = '';
call public.operation_insert_one();
reset search_path;
select count(*), count(distinct tableoid) as partitions, min(operation_guid) <> max(operation_guid) as differ
from (select tableoid, operation_guid::text from operations) o;
delete from operations;

-- Changes of status: the oldest by id, of one parity, at most so many, and the view is right.
call operations_test_data('2025-08-01', '2025-08-31', 1000, 5);
select min(id) as first_id from operations \gset
call change_status(100);
select count(*) as flipped, count(distinct id % 2) as parities, max(id) - min(id) = 198 as the_oldest,
       min(id) - :first_id <= 1 as from_the_first
from operations
where status = 1;
call change_status();
do $$
begin
    for i in 1..50 loop
        exit when not exists (select from operations where status = 0);
        perform pg_sleep(0.1);
        call change_status();
    end loop;
end
$$;
select count(*) from operations where status = 0;
select count(*) as wrong
from client_type_sum_mv v
full join (select client_id, operation_type, sum(amount) as total_amount
           from operations where status = 1 group by 1, 2) q using (client_id, operation_type)
where v.total_amount is distinct from q.total_amount;
-- A view that holds nothing yet is filled.
refresh materialized view client_type_sum_mv with no data;
call change_status();
select count(*) > 0 as filled from client_type_sum_mv;
delete from operations;
call change_status();
select count(*) from client_type_sum_mv;
