-- The role that replicas log in with: REPLICATION_USER, and REPLICATION_PASSWORD or the file REPLICATION_PASSWORD_FILE.
\set replication_user ''
\set replication_password ''
\set replication_password_file ''
\getenv replication_user REPLICATION_USER
\getenv replication_password REPLICATION_PASSWORD
\getenv replication_password_file REPLICATION_PASSWORD_FILE
SELECT coalesce(nullif(:'replication_user', ''), 'replicator') AS replication_user,
       :'replication_password_file' <> '' AS from_file \gset

-- Nothing of what follows may reach the log: not the statement, not its duration, not an error that quotes it.
BEGIN;
SET LOCAL log_statement = 'none';
SET LOCAL log_duration = off;
SET LOCAL log_min_duration_statement = -1;
SET LOCAL log_min_duration_sample = -1;
SET LOCAL log_transaction_sample_rate = 0;
SET LOCAL log_min_error_statement = 'panic';
SET LOCAL debug_print_parse = off;

\if :from_file
    \set replication_password `cat -- "$REPLICATION_PASSWORD_FILE"`
\endif
SELECT :'replication_password' = '' AS missing \gset
\if :missing
    DO $$ BEGIN
        RAISE EXCEPTION 'there is no password for the replication user'
            USING HINT = 'Set REPLICATION_PASSWORD, or REPLICATION_PASSWORD_FILE to a file that holds it.';
    END $$;
\endif

SELECT NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = :'replication_user') AS new_role \gset
\if :new_role
    CREATE ROLE :"replication_user" LOGIN REPLICATION;
    COMMENT ON ROLE :"replication_user" IS 'Replicas clone and follow the primary as this role.';
\endif
ALTER ROLE :"replication_user" PASSWORD :'replication_password';
COMMIT;
\unset replication_password
