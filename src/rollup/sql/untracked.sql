-- The partitions whose sums the total does not hold as they are now, and whether each can be summed up and followed from now on: not
-- while the rollups still hold what it was before.
select coalesce(v.partition, r.partition),
       coalesce(v.counted, false) and not exists (
           select from @extschema@.operations_rollup_partition o where o.partition = v.partition
       ),
       coalesce(v.transactions, '{}')
from @extschema@.operations_partition_version v
full join @extschema@.operations_rollup_partition r on r.partition = v.partition and r.version = v.version
where v.partition is null or r.partition is null or not v.counted
