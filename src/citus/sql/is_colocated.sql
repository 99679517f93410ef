-- Whether all of these have their shards at the same places.
select count(distinct colocationid) = 1 and min(colocationid) > 0
from pg_dist_partition
where logicalrelid in ('@extschema@.operations'::regclass, '@extschema@.operations_shard_delta'::regclass,
                       '@extschema@.operations_shard_rollup'::regclass, '@extschema@.operations_shard'::regclass,
                       '@extschema@.operations_shard_load'::regclass)
