-- The role that replicas log in with: REPLICATION_USER, and REPLICATION_PASSWORD or the file REPLICATION_PASSWORD_FILE.
\set replication_user ''
\set replication_password ''
\set replication_password_file ''
\getenv replication_user REPLICATION_USER
\getenv replication_password REPLICATION_PASSWORD
\getenv replication_password_file REPLICATION_PASSWORD_FILE
select coalesce(nullif(:'replication_user', ''), 'replicator') as replication_user,
       :'replication_password_file' <> '' as from_file \gset

-- Nothing of what follows may reach the log: not the statement, not its duration, not an error that quotes it.
begin;
set local log_statement = 'none';
set local log_duration = off;
set local log_min_duration_statement = -1;
set local log_min_duration_sample = -1;
set local log_transaction_sample_rate = 0;
set local log_min_error_statement = 'panic';
set local debug_print_parse = off;

\if :from_file
    \set replication_password `cat -- "$REPLICATION_PASSWORD_FILE"`
\endif
select :'replication_password' = '' as missing \gset
\if :missing
    do $$ begin
        raise exception 'there is no password for the replication user'
            using hint = 'Set REPLICATION_PASSWORD, or REPLICATION_PASSWORD_FILE to a file that holds it.';
    end $$;
\endif

select not exists (select from pg_catalog.pg_roles where rolname = :'replication_user') as new_role \gset
\if :new_role
    create role :"replication_user" login replication;
    comment on role :"replication_user" is 'Replicas clone and follow the primary as this role.';
\endif
alter role :"replication_user" password :'replication_password';
commit;
\unset replication_password
