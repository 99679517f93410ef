-- As src/setup/sql/count_triggers.sql. But what logical replication brings to a shard that is moved was counted where it came from.
create trigger operations_count_insert after insert on @extschema@.operations
    for each row when (new.status = 1) execute function @extschema@.operations_count_change();
create trigger operations_count_delete after delete on @extschema@.operations
    for each row when (old.status = 1) execute function @extschema@.operations_count_change();
create trigger operations_count_update after update on @extschema@.operations
    for each row when (old.status = 1 or new.status = 1) execute function @extschema@.operations_count_change();
