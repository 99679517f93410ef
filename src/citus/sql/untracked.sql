-- The partitions that are not followed and could be, with their first and last days.
select v.partition, v.from_day::text, (case when isfinite(v.to_day) then v.to_day - 1 else v.to_day end)::text, v.version, v.transactions
from @extschema@.operations_partition_version v
where v.counted
  and v.from_day > '-infinity'::date
  and v.from_day not in (select from_day from @extschema@.operations_shard_month)
