-- $1: how many numbers to try. The shard of each is told by a hash.
insert into @extschema@.operations_shard_key (shard, key)
select distinct on (c.shard) c.shard, c.key
from (
    select get_shard_id_for_distribution_column('@extschema@.operations_shard'::regclass, n) as shard, n as key
    from generate_series(1, $1) n
) c
order by c.shard, c.key
on conflict do nothing
