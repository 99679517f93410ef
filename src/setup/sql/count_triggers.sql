-- The conditions are short, as PostgreSQL parses them for every statement, and in this form: src/pg/counting.rs compares them.
-- PostgreSQL gives each partition, also one that is attached later, triggers like these. For a row that moves to another
-- partition they fire as DELETE there and INSERT here. ALWAYS: also where session_replication_role is replica.
create or replace trigger operations_count_insert after insert on @extschema@.operations
    for each row when (new.status = 1) execute function @extschema@.operations_count_change();
create or replace trigger operations_count_delete after delete on @extschema@.operations
    for each row when (old.status = 1) execute function @extschema@.operations_count_change();
create or replace trigger operations_count_update after update on @extschema@.operations
    for each row when (old.status = 1 or new.status = 1) execute function @extschema@.operations_count_change();

alter table @extschema@.operations
    enable always trigger operations_count_insert,
    enable always trigger operations_count_delete,
    enable always trigger operations_count_update;

comment on trigger operations_count_insert on @extschema@.operations is 'Counts done operations that are inserted.';
comment on trigger operations_count_delete on @extschema@.operations is 'Counts done operations that are deleted.';
comment on trigger operations_count_update on @extschema@.operations is 'Counts operations that get done, or were and change.';
