-- PostgreSQL 16: checkpoints, on a replica none.
select k.kind, k.number::float8 as checkpoints_total
from pg_stat_bgwriter b
cross join lateral (values ('timed', b.checkpoints_timed), ('requested', b.checkpoints_req)) k (kind, number)
