-- $1: the last client; $2: shards, numbers of operations_shard in pg_dist_shard. The clients whose operations are in them. By the
-- function that Citus finds the shard of a row by.
select c.client, c.shard
from (
    select n as client, get_shard_id_for_distribution_column('@extschema@.operations_shard'::regclass, n) as shard
    from generate_series(1, $1) n
) c
where c.shard = any ($2)
