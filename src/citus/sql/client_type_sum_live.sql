-- The sums of the shards, and those of the rows from the first to the last day that is not tracked. Citus hands all but the first
-- part on to the nodes, where each shard has the sums of its clients. Where all is tracked the days are null, and no partition is read.
create or replace view @extschema@.client_type_sum_live as
with state as materialized (
    select tracked, from_day, to_day
    from @extschema@.operations_shard_state
)
select s.client_id, s.operation_type, sum(s.amount) as total_amount
from (
    select r.client_id, r.operation_type, r.rows, r.amount
    from @extschema@.operations_shard_rollup r
    where r.from_day = any ((select tracked from state)::date[])
    union all
    select d.client_id, d.operation_type, d.rows, d.amount
    from @extschema@.operations_shard_delta d
    where d.from_day = any ((select tracked from state)::date[])
    union all
    select o.client_id, o.operation_type, 1, o.amount
    from @extschema@.operations o
    where o.status = 1
      and o.operation_date >= (select from_day from state)
      and o.operation_date <= (select to_day from state)
) s
group by s.client_id, s.operation_type
having sum(s.rows) <> 0;

comment on view @extschema@.client_type_sum_live is
    'Sum of amount of the operations done (status 1), by client and type, exact at every moment in each shard.';
comment on column @extschema@.client_type_sum_live.client_id is 'The client.';
comment on column @extschema@.client_type_sum_live.operation_type is 'The type of the operations summed.';
comment on column @extschema@.client_type_sum_live.total_amount is 'The sum in EUR.';
