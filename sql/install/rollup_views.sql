-- A partition's version changes with whatever PostgreSQL does not tell row triggers about: TRUNCATE and rewrites give it
-- another file; DETACH drops its triggers, ATTACH makes others; ENABLE, DISABLE and CREATE OR REPLACE TRIGGER update theirs.
create view @extschema@.operations_partition_version as
with recursive tree (relation) as (
    select c.oid
    from pg_catalog.pg_class c
    where c.relname = 'operations' and c.relnamespace = '@extschema@'::pg_catalog.regnamespace and c.relkind = 'p'
    union all
    select i.inhrelid
    from tree t
    join pg_catalog.pg_inherits i on i.inhparent = t.relation
    where not i.inhdetachpending
)
select c.oid as partition,
       pg_catalog.concat_ws(' ', c.relfilenode, g.triggers) as version,
       c.relfilenode as file,
       -- A crash empties what is not logged, and no trigger hears of it.
       coalesce(g.counted, false) and c.relpersistence = 'p' as counted,
       g.transactions as trigger_transactions
from tree t
join pg_catalog.pg_class c on c.oid = t.relation
cross join lateral (
    select pg_catalog.string_agg(pg_catalog.concat_ws(' ', g.oid, g.xmin, g.tgenabled), ' ' order by g.oid) as triggers,
           pg_catalog.count(*) = 3 and pg_catalog.bool_and(g.tgenabled = 'A') as counted,
           pg_catalog.array_agg(g.xmin::text::bigint) as transactions
    from pg_catalog.pg_trigger g
    where g.tgrelid = c.oid and g.tgfoid = '@extschema@.operations_count_change()'::pg_catalog.regprocedure
) g
where c.relkind = 'r';

comment on view @extschema@.operations_partition_version is
    'The partitions of operations that hold rows, and what tells whether one was changed past its triggers.';
comment on column @extschema@.operations_partition_version.partition is 'The partition, an OID of pg_class.';
comment on column @extschema@.operations_partition_version.version is
    'Its file, and OID, xmin and state of the triggers that count its changes.';
comment on column @extschema@.operations_partition_version.file is 'Its file, a relfilenode of pg_class.';
comment on column @extschema@.operations_partition_version.counted is 'Whether those triggers are all there and always fire, and the rows outlast a crash.';
comment on column @extschema@.operations_partition_version.trigger_transactions is 'Who made or last altered them.';

-- PostgreSQL finds rows and fires triggers by the catalogs as they are now, which a transaction whose snapshot is older does
-- not see: what it changes in a partition whose triggers were disabled meanwhile is counted by nobody. So the partitions are
-- those of now, and tracked are those that are so in the snapshot and now. They are locked as if they were read.
create view @extschema@.operations_rollup_live as
with present as materialized (
    select t.relid::oid as partition
    from pg_catalog.pg_partition_tree((
        select c.oid
        from pg_catalog.pg_class c
        where c.relname = 'operations' and c.relnamespace = '@extschema@'::pg_catalog.regnamespace and c.relkind = 'p'
    )) t
    where t.isleaf
), tracked as materialized (
    select r.partition
    from @extschema@.operations_rollup_partition r
    join @extschema@.operations_partition_version v on v.partition = r.partition and v.version = r.version
    where r.partition in (select partition from present)
      and @extschema@.operations_is_counted(
          r.partition, v.file, '@extschema@.operations_count_change()'::pg_catalog.regprocedure)
), stale as materialized (
    select r.partition
    from @extschema@.operations_rollup_partition r
    where r.partition not in (select partition from tracked)
)
select s.client_id, s.operation_type, pg_catalog.sum(s.rows)::bigint as rows, pg_catalog.sum(s.amount) as amount
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
    union all
    select d.client_id, d.operation_type, d.rows, d.amount
    from @extschema@.operations_direct_sums(array(
        select p.partition from present p where p.partition not in (select partition from tracked)
    )) d
) s
group by s.client_id, s.operation_type
having pg_catalog.sum(s.rows) <> 0;

comment on view @extschema@.operations_rollup_live is
    'Count and sum of the done operations (status 1), by client and type, exact at every moment. What client_type_sum_live and client_type_sum_mv are made of.';
comment on column @extschema@.operations_rollup_live.client_id is 'The client.';
comment on column @extschema@.operations_rollup_live.operation_type is 'The type of the operations.';
comment on column @extschema@.operations_rollup_live.rows is 'How many there are.';
comment on column @extschema@.operations_rollup_live.amount is 'Their sum in EUR.';

revoke all on @extschema@.operations_partition_version, @extschema@.operations_rollup_live from public;
