-- What client_type_sum_live has of each sum, and what the rows have, where they differ: each shard in one snapshot. A sum of no rows may be left.
with state as materialized (
    select tracked, from_day, to_day
    from @extschema@.operations_shard_state
)
select s.client_id, s.operation_type, sum(s.rolled_up), sum(s.actual)
from (
    select r.client_id, r.operation_type, r.rows as rolled_up_rows, r.amount as rolled_up, 0 as actual_rows, null::numeric as actual
    from @extschema@.operations_shard_rollup r
    where r.from_day = any ((select tracked from state)::date[])
    union all
    select d.client_id, d.operation_type, d.rows, d.amount, 0, null
    from @extschema@.operations_shard_delta d
    where d.from_day = any ((select tracked from state)::date[])
    union all
    select o.client_id, o.operation_type, 1, o.amount, 0, null
    from @extschema@.operations o
    where o.status = 1
      and o.operation_date >= (select from_day from state)
      and o.operation_date <= (select to_day from state)
    union all
    select o.client_id, o.operation_type, 0, null, 1, o.amount
    from @extschema@.operations o
    where o.status = 1
) s
group by s.client_id, s.operation_type
having sum(s.rolled_up_rows) <> sum(s.actual_rows) or coalesce(sum(s.rolled_up), 0) <> coalesce(sum(s.actual), 0)
