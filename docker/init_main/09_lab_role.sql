-- The role that operations-lab serve logs in as: it may look, and nothing else. Its password is LAB_PASSWORD or in the file
-- LAB_PASSWORD_FILE; without one there is no such role. It can be run again, and then gives the role that password.
\set lab_password ''
\set lab_password_file ''
\getenv lab_password LAB_PASSWORD
\getenv lab_password_file LAB_PASSWORD_FILE
select :'lab_password_file' <> '' as from_file \gset

-- Nothing of what follows may reach the log. The demo waits for no replica here.
begin;
set local log_statement = 'none';
set local log_duration = off;
set local log_min_duration_statement = -1;
set local log_min_duration_sample = -1;
set local log_transaction_sample_rate = 0;
set local log_min_error_statement = 'panic';
set local debug_print_parse = off;
set local synchronous_commit = local;
-- Nobody else's functions are called.
set local search_path = pg_catalog, pg_temp;

\if :from_file
    \set lab_password `cat -- "$LAB_PASSWORD_FILE"`
\endif
select :'lab_password' <> '' as wanted,
       :'lab_password' <> '' and not exists (select from pg_catalog.pg_roles where rolname = 'operations_lab') as new_role \gset
\if :new_role
    create role operations_lab login;
    comment on role operations_lab is 'operations-lab serve logs in as this role, to look.';
\endif
\if :wanted
    -- One that is there already may be somebody's who made it to have what is granted to it here, or that others may become.
    do $$
    declare
        found text;
    begin
        select case
                   when r.rolsuper or r.rolcreaterole or r.rolcreatedb or r.rolreplication or r.rolbypassrls then 'may more than look'
                   when m.members is not null then format('has members: %s', m.members)
                   when m.groups is not null then format('is a member of %s', m.groups)
               end
        into found
        from pg_catalog.pg_roles r
        cross join lateral (
            select string_agg(distinct a.member::regrole::text, ', ') filter (where a.roleid = r.oid) as members,
                   string_agg(distinct a.roleid::regrole::text, ', ')
                       filter (where a.member = r.oid and (a.roleid::regrole::text <> 'operations_monitor' or a.admin_option)) as groups
            from pg_catalog.pg_auth_members a
        ) m
        where r.rolname = 'operations_lab';
        if found is not null then
            raise exception 'the role operations_lab is there already, and %', found
                using hint = 'If it is nobody''s, drop it: drop owned by operations_lab; drop role operations_lab;';
        end if;
    end
    $$;
    alter role operations_lab login inherit nosuperuser nocreatedb nocreaterole noreplication nobypassrls valid until 'infinity';
    alter role operations_lab reset all;
    -- A few sessions for each server, and as many again when a server hangs.
    alter role operations_lab connection limit 20 password :'lab_password';
    grant operations_monitor to operations_lab;
\endif
commit;
\unset lab_password
