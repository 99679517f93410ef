-- The months from the oldest to three ahead, without a gap.
call operations_maintain_partitions();
create function pg_temp.months_from(first date, ahead int) returns table (month text)
language sql as $$
    select to_char(generate_series(first, date_trunc('month', current_date) + make_interval(months => ahead),
                                   interval '1 month'), '"operations_"YYYY_MM')
$$;
create view pg_temp.partition as
    select inhrelid::regclass::text as name from pg_inherits where inhparent = 'operations'::regclass;
select count(*) as wrong from pg_temp.partition p full join pg_temp.months_from('2025-08-01', 3) m on m.month = p.name
where p.name is null or m.month is null;

-- More months ahead, and again with nothing to do.
call operations_maintain_partitions(6);
call operations_maintain_partitions(6);
call operations_maintain_partitions(0);
select count(*) as wrong from pg_temp.partition p full join pg_temp.months_from('2025-08-01', 6) m on m.month = p.name
where p.name is null or m.month is null;

-- A partition has what the table has: indexes, constraints, a comment.
select count(*) as indexes from pg_index where indrelid = 'operations_2025_08'::regclass;
select count(*) as constraints from pg_constraint where conrelid = 'operations_2025_08'::regclass and contype in ('c', 'p');
select obj_description('operations_2025_08'::regclass, 'pg_class');

-- A wider partition of one's own takes the place of months.
create table operations_early partition of operations for values from ('2025-04-01') to ('2025-07-01');
call operations_maintain_partitions();
select to_regclass('operations_2025_05') is null as none_made, to_regclass('operations_2025_07') is not null as gap_filled;
drop table operations_early;

-- Retention detaches and keeps the rows.
call operations_test_data('2025-08-01', '2025-08-31', 10, 1);
set client_min_messages = notice;
select (extract(year from age(date_trunc('month', current_date), '2025-10-01')) * 12
        + extract(month from age(date_trunc('month', current_date), '2025-10-01')))::int as since_october \gset
call operations_maintain_partitions(3, :since_october);
reset client_min_messages;
select min(name) as oldest from pg_temp.partition;
select count(*) as kept from operations_2025_08;
select count(*) as in_the_table from operations;
-- A month whose name a detached table has is made under another one.
call operations_test_data('2025-08-01', '2025-08-31', 10, 1);
select tableoid::regclass as partition, count(*) from operations group by 1;
drop table operations_2025_07, operations_2025_08, operations_2025_09, operations_2025_08_2;
