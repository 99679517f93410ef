drop trigger if exists operations_count_insert on @extschema@.operations;
drop trigger if exists operations_count_delete on @extschema@.operations;
drop trigger if exists operations_count_update on @extschema@.operations;
