-- What keeps the primary from being healthy, one reason a row. That its replica is away, or must be cloned anew, is the replica's
-- illness: the primary is then degraded, which the doctor says, and healthy. It runs every few seconds, so the sums, which cost more
-- than all the rest, are asked for once a minute (see report.sh).
select 'in_recovery: this server is a replica, not a primary'
where pg_catalog.pg_is_in_recovery();

\ir doctor.sql
