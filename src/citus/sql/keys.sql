-- Whether each shard of operations_shard has its key, and no other does; the keys.
select not exists (
           select
           from pg_dist_shard s
           full join @extschema@.operations_shard_key k on k.shard = s.shardid
           where s.logicalrelid = '@extschema@.operations_shard'::regclass and k.shard is null or s.shardid is null
       ),
       array(select key from @extschema@.operations_shard_key order by key)
