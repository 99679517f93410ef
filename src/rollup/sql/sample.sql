-- A partition whose sums are followed and whose rows are read in some 10 ms, another each time.
select r.partition
from @extschema@.operations_rollup_partition r
join @extschema@.operations_partition_version v on v.partition = r.partition and v.version = r.version
where v.counted and pg_relation_size(r.partition) between 1 and 8 * 1024 * 1024
order by random()
limit 1
