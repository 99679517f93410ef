-- A partition's version changes with whatever PostgreSQL does not tell row triggers about: TRUNCATE and rewrites give it
-- another file; DETACH drops its triggers, ATTACH makes others; ENABLE, DISABLE and CREATE OR REPLACE TRIGGER update theirs;
-- so does a change of a column. PostgreSQL finds rows and columns and fires triggers by the catalogs as they are now, which a
-- transaction whose snapshot is older does not see: what it changes in a partition whose triggers were disabled meanwhile is
-- counted by nobody. So the partitions are those of now, and counted are those that are so in the snapshot and now.
-- Operators are qualified where pg_catalog has none for just these types: one of the schema's would be taken for a better match.
create view @extschema@.operations_partition_version as
select n.partition,
       pg_catalog.concat_ws(' ', c.relfilenode, g.triggers, a.columns) as version,
       coalesce(n.counted and n.file = c.relfilenode and n.columns operator(pg_catalog.=) a.numbers and g.number = 3, false) as counted,
       g.transactions operator(pg_catalog.||) a.transactions as transactions,
       n.from_day,
       n.to_day,
       n.root,
       n.root_columns
from @extschema@.operations_partitions_now() n
left join pg_catalog.pg_class c on c.oid = n.partition
cross join lateral (
    select pg_catalog.string_agg(pg_catalog.concat_ws(' ', g.oid, g.xmin, g.tgenabled), ' ' order by g.oid) as triggers,
           -- Not that before TRUNCATE, which counts nothing.
           pg_catalog.count(*) filter (where g.tgtype::integer & 32 = 0) as number,
           coalesce(pg_catalog.array_agg(g.xmin::text::bigint), '{}') as transactions
    from pg_catalog.pg_trigger g
    where g.tgrelid = n.partition and g.tgfoid = '@extschema@.operations_count_change()'::pg_catalog.regprocedure::pg_catalog.oid
) g
cross join lateral (
    select pg_catalog.string_agg(pg_catalog.concat_ws(' ', a.attnum, a.atttypid, a.xmin), ' ' order by a.attname) as columns,
           pg_catalog.array_agg(a.attnum order by a.attname) as numbers,
           coalesce(pg_catalog.array_agg(a.xmin::text::bigint), '{}') as transactions
    from pg_catalog.pg_attribute a
    where a.attrelid = n.partition and a.attname in ('amount', 'client_id', 'operation_type', 'status')
) a;

comment on view @extschema@.operations_partition_version is
    'The partitions of operations that hold rows, and what tells whether one was changed past its triggers.';
comment on column @extschema@.operations_partition_version.partition is 'The partition, an OID of pg_class.';
comment on column @extschema@.operations_partition_version.version is
    'Its file; OID, xmin and state of the triggers that count its changes; number, type and xmin of the columns that count.';
comment on column @extschema@.operations_partition_version.counted is
    'Whether those triggers are all there, are as operations_setup() makes them and have counted all changes, the rows outlast a crash, and their owner is that of operations and may see them all.';
comment on column @extschema@.operations_partition_version.transactions is 'Who made or last altered the triggers and columns.';
comment on column @extschema@.operations_partition_version.from_day is 'No row is of an earlier day.';
comment on column @extschema@.operations_partition_version.to_day is 'No row is of a later day.';
comment on column @extschema@.operations_partition_version.root is 'The table, an OID of pg_class.';
comment on column @extschema@.operations_partition_version.root_columns is
    'The numbers of its columns amount, client_id, operation_type and status; null if one is missing.';

-- Tracked are the partitions whose sums are in the rollups; the others are listed, for client_type_sum_live to sum up. This
-- view must not read operations itself: it would run with the rights of the role that owns the extension.
create view @extschema@.operations_rollup_live as
with present as materialized (
    select v.partition, v.version, v.counted, v.from_day, v.to_day, v.root, v.root_columns
    from @extschema@.operations_partition_version v
), tracked as materialized (
    select r.partition
    from @extschema@.operations_rollup_partition r
    join present p on p.partition = r.partition and p.version = r.version
    where p.counted
), stale as materialized (
    select r.partition
    from @extschema@.operations_rollup_partition r
    where r.partition not in (select partition from tracked)
)
select s.client_id, s.operation_type, pg_catalog.sum(s.rows)::bigint as rows, pg_catalog.sum(s.amount) as amount,
       null::oid as partition, null::date as from_day, null::date as to_day, null::boolean as by_name
from (
    select t.client_id, t.operation_type, t.rows, t.amount
    from @extschema@.operations_rollup_total t
    union all
    -- Not folded yet.
    select d.client_id, d.operation_type, d.rows, d.amount
    from @extschema@.operations_delta d
    where d.partition in (select partition from tracked)
    union all
    -- Still in the total, but gone or of another version. EXISTS is asked first, once: if there is none, nothing is read.
    select r.client_id, r.operation_type, -r.rows, -r.amount
    from @extschema@.operations_rollup r
    where exists (select from stale) and r.partition = any (array(select partition from stale))
) s
group by s.client_id, s.operation_type
having pg_catalog.sum(s.rows) <> 0::numeric
union all
select null, null, null, null, p.partition, p.from_day, p.to_day,
       coalesce(not p.root_columns operator(pg_catalog.<@) array(
           select d.refobjsubid::int2
           from pg_catalog.pg_class c
           join pg_catalog.pg_rewrite w on w.ev_class = c.oid
           join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass::pg_catalog.oid and d.objid = w.oid
           where c.relname = 'client_type_sum_live' and c.relnamespace = '@extschema@'::pg_catalog.regnamespace::pg_catalog.oid
             and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid and d.refobjid = p.root
       ), false)
from present p
where p.partition not in (select partition from tracked);

comment on view @extschema@.operations_rollup_live is
    'Count and sum of the done operations (status 1) of all partitions that are tracked, by client and type, exact at every moment; and the partitions that are not. What client_type_sum_live is made of.';
comment on column @extschema@.operations_rollup_live.client_id is 'The client.';
comment on column @extschema@.operations_rollup_live.operation_type is 'The type of the operations.';
comment on column @extschema@.operations_rollup_live.rows is 'How many there are.';
comment on column @extschema@.operations_rollup_live.amount is 'Their sum in EUR.';
comment on column @extschema@.operations_rollup_live.partition is
    'Null for a sum; else a partition that is not tracked, an OID of pg_class, whose rows are in no sum.';
comment on column @extschema@.operations_rollup_live.from_day is 'No row of that partition is of an earlier day.';
comment on column @extschema@.operations_rollup_live.to_day is 'No row of that partition is of a later day.';
comment on column @extschema@.operations_rollup_live.by_name is
    'Whether a column that client_type_sum_live was made with has given its name to another, so that it is to be found by its name.';

revoke all on @extschema@.operations_partition_version, @extschema@.operations_rollup_live from public;

-- The rows of a partition that is not tracked are summed up with those of all that lie between it and the next such: so the query of
-- client_type_sum_live on Citus has but two days to compare with, and all of it goes to the shards.
create view @extschema@.operations_shard_state as
with months as (
    -- A month ends before the first day of the next, which is the version's; an end that is no day is one that a row may have.
    select v.from_day, case when pg_catalog.isfinite(v.to_day) then v.to_day - 1 else v.to_day end as to_day,
           m.partition is not null and m.summed_by is null and v.counted and v.from_day > '-infinity'::date as is_tracked
    from @extschema@.operations_partition_version v
    left join @extschema@.operations_shard_month m
        on m.partition = v.partition and m.version = v.version and m.from_day = v.from_day
), untracked as (
    select min(u.from_day) as from_day, max(u.to_day) as to_day
    from months u
    where not u.is_tracked
)
select array(
           select m.from_day
           from months m
           where m.is_tracked and (u.from_day is null or m.to_day < u.from_day or m.from_day > u.to_day)
       ) as tracked,
       u.from_day,
       u.to_day
from untracked u;

comment on view @extschema@.operations_shard_state is
    'On Citus: the partitions of operations whose sums are in operations_shard_rollup and operations_shard_delta. What client_type_sum_live is made of there.';
comment on column @extschema@.operations_shard_state.tracked is 'The first days of these partitions.';
comment on column @extschema@.operations_shard_state.from_day is 'The first day whose operations are in none of them; null: all are.';
comment on column @extschema@.operations_shard_state.to_day is 'The last such day.';

revoke all on @extschema@.operations_shard_state from public;
