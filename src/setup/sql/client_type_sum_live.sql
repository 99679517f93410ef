-- The sums of the rollups, and those of the rows of partitions that are not tracked. These are read here and not by a function,
-- so that PostgreSQL's rules for views hold: the rights and the policies are those of the view's owner, and what is evaluated is
-- evaluated as the reader. tableoid says which rows count; the days let the executor leave out the other partitions. Where
-- all are tracked, the days are null, and no partition is read.
create or replace view @extschema@.client_type_sum_live as
with rollup as materialized (
    select client_id, operation_type, rows, amount, partition, from_day, to_day, by_name
    from @extschema@.operations_rollup_live
)
select s.client_id, s.operation_type, sum(s.amount) as total_amount
from (
    select r.client_id, r.operation_type, r.rows, r.amount
    from rollup r
    where r.partition is null
    union all
    select o.client_id::int4, o.operation_type::@extschema@.operation_type_enum, count(*), sum(o.amount)::numeric
    from @extschema@.operations o
    where o.status = 1
      and o.tableoid = any (array(select r.partition from rollup r where not r.by_name))
      and o.operation_date >= (select min(r.from_day) from rollup r where not r.by_name)
      and o.operation_date <= (select max(r.to_day) from rollup r where not r.by_name)
    group by o.client_id, o.operation_type
    union all
    -- A view knows columns by number. Where another has taken the name of one, this finds it, until set-up makes the view anew.
    select (n.row ->> 'client_id')::int4, (n.row ->> 'operation_type')::@extschema@.operation_type_enum,
           count(*), sum((n.row ->> 'amount')::numeric)
    from (
        select to_jsonb(o) as row
        from @extschema@.operations o
        where o.tableoid = any (array(select r.partition from rollup r where r.by_name))
          and o.operation_date >= (select min(r.from_day) from rollup r where r.by_name)
          and o.operation_date <= (select max(r.to_day) from rollup r where r.by_name)
        offset 0
    ) n
    where (n.row ->> 'status')::int2 = 1
    group by 1, 2
) s
group by s.client_id, s.operation_type
having sum(s.rows) <> 0;

comment on view @extschema@.client_type_sum_live is
    'Sum of amount of the operations done (status 1), by client and type, exact at every moment.';
comment on column @extschema@.client_type_sum_live.client_id is 'The client.';
comment on column @extschema@.client_type_sum_live.operation_type is 'The type of the operations summed.';
comment on column @extschema@.client_type_sum_live.total_amount is 'The sum in EUR.';
