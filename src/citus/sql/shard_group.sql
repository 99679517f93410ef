-- $1: the number of a shard of this server. Its table, and the shards with the same clients. No shard that was here before, and
-- whose name a table of somebody else may have by now.
select pg_catalog.to_regclass(pg_catalog.shard_name(s.logicalrelid, s.shardid, false))::pg_catalog.oid,
       coalesce(pg_catalog.pg_partition_root(s.logicalrelid), s.logicalrelid)::pg_catalog.oid,
       operations.shard,
       delta.shard,
       rollup.shard
from pg_catalog.pg_dist_shard s
cross join lateral (
    select pg_catalog.to_regclass(pg_catalog.shard_name(o.logicalrelid, o.shardid, false))::pg_catalog.oid as shard
    from pg_catalog.pg_dist_shard o
    where o.logicalrelid = pg_catalog.to_regclass('@extschema@.operations') and o.shardminvalue = s.shardminvalue
) operations
cross join lateral (
    select pg_catalog.to_regclass(pg_catalog.shard_name(o.logicalrelid, o.shardid, false))::pg_catalog.oid as shard
    from pg_catalog.pg_dist_shard o
    where o.logicalrelid = pg_catalog.to_regclass('@extschema@.operations_shard_delta') and o.shardminvalue = s.shardminvalue
) delta
cross join lateral (
    select pg_catalog.to_regclass(pg_catalog.shard_name(o.logicalrelid, o.shardid, false))::pg_catalog.oid as shard
    from pg_catalog.pg_dist_shard o
    where o.logicalrelid = pg_catalog.to_regclass('@extschema@.operations_shard_rollup') and o.shardminvalue = s.shardminvalue
) rollup
where s.shardid = $1
  and exists (
      select
      from pg_catalog.pg_dist_placement p
      join pg_catalog.pg_dist_local_group g on g.groupid = p.groupid
      where p.shardid = s.shardid
  )
