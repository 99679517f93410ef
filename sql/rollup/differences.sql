-- The sums that the rollups give and those of the rows, where they differ; both of one snapshot.
select client_id, operation_type, sum(rolled_up), sum(actual)
from (
    select client_id, operation_type, rows as rolled_up_rows, amount as rolled_up, 0 as actual_rows, null::numeric as actual
    from @extschema@.operations_rollup_live
    union all
    select client_id, operation_type, 0, null, rows, amount
    from @extschema@.operations_direct_sums(null)
) s
group by client_id, operation_type
having sum(rolled_up_rows) <> sum(actual_rows) or sum(rolled_up) is distinct from sum(actual)
order by client_id, operation_type
