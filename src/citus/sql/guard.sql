-- It has another trigger of that name, if that was disabled or altered.
drop trigger if exists operations_guard_truncate on @partition@;
create trigger operations_guard_truncate before truncate on @partition@
    for each statement execute function @extschema@.operations_count_change();
