-- The sums that the rollups give, with those of the rows of partitions that are not tracked, and the sums of all rows, where they
-- differ; all of one snapshot.
with rollup as materialized (
    select client_id, operation_type, rows, amount, partition
    from @extschema@.operations_rollup_live
), direct as materialized (
    select partition, client_id, operation_type, rows, amount
    from @extschema@.operations_direct_sums(array(select partition from @extschema@.operations_partition_version))
)
select client_id, operation_type, sum(rolled_up), sum(actual)
from (
    select client_id, operation_type, rows as rolled_up_rows, amount as rolled_up, 0 as actual_rows, null::numeric as actual
    from rollup
    where partition is null
    union all
    select client_id, operation_type, rows, amount, rows, amount
    from direct
    where partition in (select partition from rollup)
    union all
    select client_id, operation_type, 0, null, rows, amount
    from direct
    where partition not in (select partition from rollup where partition is not null)
) s
group by client_id, operation_type
having sum(rolled_up_rows) <> sum(actual_rows) or sum(rolled_up) is distinct from sum(actual)
order by client_id, operation_type
