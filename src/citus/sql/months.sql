-- The partitions by what is known of them: followed (those of this version); those that were summed up by a
-- transaction that all nodes have committed by now; and those that are not followed any more.
select array_agg(m.from_day::text order by m.from_day) filter (where v.counted),
       array_agg(m.from_day::text order by m.from_day) filter (where v.counted and m.summed_by <> pg_current_xact_id()),
       array_agg(m.from_day::text order by m.from_day) filter (where v.counted is not true)
from @extschema@.operations_shard_month m
left join @extschema@.operations_partition_version v
    on v.partition = m.partition and v.version = m.version and v.from_day = m.from_day
