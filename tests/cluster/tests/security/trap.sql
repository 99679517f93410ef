-- Run by lab.rs as the attacker, who owns the schema lair: the traps. What springs one is told in the server's log, with the
-- role that it ran as.

create function lair.spring(what text) returns integer
language plpgsql immutable parallel safe cost 0.0001
as $$
begin
    raise log 'SPRUNG;%;%;%;', current_database(), what, current_user;
    return 1;
end
$$;

create function lair.spring_trigger() returns trigger
language plpgsql
as $$
begin
    raise log 'SPRUNG;%;%;%;', current_database(), 'trigger ' || tg_name, current_user;
    return case tg_op when 'DELETE' then old else new end;
end
$$;

grant usage on schema lair to public;
