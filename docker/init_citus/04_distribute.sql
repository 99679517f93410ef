-- The operations, once they are loaded, move to the workers; before the view is filled, which is made anew. Enough shards for two workers to
-- become eight.
set citus.shard_count = 16;
call public.operations_distribute();
