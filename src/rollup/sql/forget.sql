with partitions as (
    delete from @extschema@.operations_rollup_partition
), sums as (
    delete from @extschema@.operations_rollup
)
delete from @extschema@.operations_rollup_total
