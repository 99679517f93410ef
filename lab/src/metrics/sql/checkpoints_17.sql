-- PostgreSQL 17 and later: checkpoints, on a replica its restartpoints.
select k.kind, k.number::float8 as checkpoints_total
from pg_stat_checkpointer c
cross join lateral (
    values ('timed', case when pg_is_in_recovery() then c.restartpoints_timed else c.num_timed end),
           ('requested', case when pg_is_in_recovery() then c.restartpoints_req else c.num_requested end)
) k (kind, number)
