-- What the aggregate is kept in: see docs/aggregate.md. The extension owns it and no dump takes it along: after
-- a restore nothing is tracked, so that the sums come from the rows until the next change_status() tracks them anew.

create table @extschema@.operations_delta (
    partition oid not null,
    client_id integer not null,
    operation_type @extschema@.operation_type_enum not null,
    rows integer not null,
    amount numeric not null
) with (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000,
    autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 100000,
    -- Giving space back takes a lock that a replica takes, too, and cancels its readers for.
    vacuum_truncate = off, toast.vacuum_truncate = off
);

-- A publication FOR ALL TABLES would else refuse the deletes of change_status().
alter table @extschema@.operations_delta replica identity full;

comment on table @extschema@.operations_delta is
    'Changes of done operations (status 1) that are not in the rollups yet. The triggers of operations append to it, in the transaction of the change; change_status() moves what is there into the rollups. Has no index, so that writers never wait for each other.';
comment on column @extschema@.operations_delta.partition is 'The partition, an OID of pg_class.';
comment on column @extschema@.operations_delta.client_id is 'The client.';
comment on column @extschema@.operations_delta.operation_type is 'The type of the operations.';
comment on column @extschema@.operations_delta.rows is 'How many more done operations there are; negative: fewer.';
comment on column @extschema@.operations_delta.amount is 'How much more they sum up to, in EUR; negative: less.';

create table @extschema@.operations_rollup_partition (
    partition oid primary key,
    version text not null
) with (fillfactor = 50, vacuum_truncate = off);

comment on table @extschema@.operations_rollup_partition is
    'The partitions that are tracked: the rollups and the changes not folded yet hold all their done operations.';
comment on column @extschema@.operations_rollup_partition.partition is 'The partition, an OID of pg_class.';
comment on column @extschema@.operations_rollup_partition.version is
    'Its version, as in operations_partition_version, when it was first summed up. While it has another one it is not tracked.';
comment on index @extschema@.operations_rollup_partition_pkey is 'A partition is tracked once.';

create table @extschema@.operations_rollup (
    partition oid,
    client_id integer,
    operation_type @extschema@.operation_type_enum,
    rows bigint not null,
    amount numeric not null,
    primary key (partition, client_id, operation_type)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.2, autovacuum_vacuum_threshold = 1000, vacuum_truncate = off);

comment on table @extschema@.operations_rollup is
    'Count and sum of the done operations of each tracked partition, by client and type: what leaves the total with a partition that is dropped, detached or truncated.';
comment on column @extschema@.operations_rollup.partition is 'The partition, an OID of pg_class.';
comment on column @extschema@.operations_rollup.client_id is 'The client.';
comment on column @extschema@.operations_rollup.operation_type is 'The type of the operations.';
comment on column @extschema@.operations_rollup.rows is 'How many done operations the partition has.';
comment on column @extschema@.operations_rollup.amount is 'Their sum in EUR.';
comment on index @extschema@.operations_rollup_pkey is 'Finds the sums of a partition, and one of them.';

create table @extschema@.operations_rollup_total (
    client_id integer,
    operation_type @extschema@.operation_type_enum,
    rows bigint not null,
    amount numeric not null,
    primary key (client_id, operation_type)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.2, autovacuum_vacuum_threshold = 1000, vacuum_truncate = off);

comment on table @extschema@.operations_rollup_total is
    'operations_rollup summed over its partitions, so that a reader reads as many rows as there are sums, whatever the number of partitions.';
comment on column @extschema@.operations_rollup_total.client_id is 'The client.';
comment on column @extschema@.operations_rollup_total.operation_type is 'The type of the operations.';
comment on column @extschema@.operations_rollup_total.rows is 'How many done operations the tracked partitions have.';
comment on column @extschema@.operations_rollup_total.amount is 'Their sum in EUR.';
comment on index @extschema@.operations_rollup_total_pkey is 'Finds a sum.';

revoke all on @extschema@.operations_delta, @extschema@.operations_rollup_partition, @extschema@.operations_rollup,
    @extschema@.operations_rollup_total from public;
