create trigger operations_shard_work before update on @extschema@.operations_shard
    for each row execute function @extschema@.operations_shard_work();
