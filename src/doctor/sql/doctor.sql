-- What one server knows about its own health. Each topic is a function of its own, so that one that fails or is not
-- permitted does not hide what the others find. docs/doctor.md explains each code.

create function @extschema@.operations_doctor(p_full boolean default false)
returns table (code text, severity text, evidence text, next_command text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set lock_timeout = '1s'
as $function$
declare
    topics text[] := array['jobs', 'partitions', 'sums'];
    topic text;
begin
    if pg_has_role('pg_monitor', 'usage') then
        topics := array['server', 'replication', 'vacuum', 'growth'] || topics;
    else
        return query
        select 'not_permitted', 'unknown',
               format('role %I is no member of pg_monitor: other sessions, the WAL receiver and some settings are hidden from it', current_user),
               format('grant pg_monitor to %I;', current_user);
    end if;

    foreach topic in array topics loop
        begin
            if topic = 'sums' then
                return query select * from @extschema@.operations_doctor_sums(coalesce(p_full, false));
            else
                return query execute format('select * from @extschema@.operations_doctor_%s()', topic);
            end if;
        exception
            when insufficient_privilege then
                return query
                select 'not_permitted', 'unknown', format('%s: %s', topic, sqlerrm),
                       format('grant pg_monitor to %I; -- and what docs/doctor.md lists under Rights', current_user);
            when others then
                return query
                select 'check_failed', 'unknown', format('%s: %s (SQLSTATE %s)', topic, sqlerrm, sqlstate),
                       format('select * from @extschema@.operations_doctor_%s(%s);', topic, case when topic = 'sums' then 'false' else '' end);
        end;
    end loop;
end
$function$;

comment on function @extschema@.operations_doctor(boolean) is
    'What is wrong with this server, primary or replica, as far as it can know by itself: code, severity (info, degraded, broken, unknown), evidence and the next command. No row of another severity than info: nothing is. With p_full it reads all rows of operations to compare the sums. For roles with the rights of pg_monitor.';

revoke all on function @extschema@.operations_doctor(boolean) from public;
