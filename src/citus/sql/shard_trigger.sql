create trigger operations_shard_work before update on @extschema@.@table@
    for each row execute function @extschema@.operations_shard_work();
