-- The partitions that are not tracked, and whether all their changes are counted from now on.
select v.partition, v.counted, v.transactions
from @extschema@.operations_partition_version v
where not exists (
    select from @extschema@.operations_rollup_partition r where r.partition = v.partition and r.version = v.version
)
