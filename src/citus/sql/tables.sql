-- What the aggregate is kept in where Citus has the rows: see docs/scaling.md. Empty, and without shards, before
-- operations_distribute(). The extension owns them, so each node has their definitions.

-- Appended to by the triggers of a shard, in the shard that has the same clients. The columns are in the order of operations_delta.
create table @extschema@.operations_shard_delta (
    from_day date not null,
    client_id integer not null,
    operation_type @extschema@.operation_type_enum not null,
    rows integer not null,
    amount numeric not null
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000, vacuum_truncate = off);

-- A shard is moved by logical replication.
alter table @extschema@.operations_shard_delta replica identity full;

comment on table @extschema@.operations_shard_delta is
    'On Citus: changes of done operations that are not in operations_shard_rollup yet, of each client in the shard of its operations.';
comment on column @extschema@.operations_shard_delta.from_day is 'The first day of the partition.';
comment on column @extschema@.operations_shard_delta.client_id is 'The client.';
comment on column @extschema@.operations_shard_delta.operation_type is 'The type of the operations.';
comment on column @extschema@.operations_shard_delta.rows is 'How many more done operations there are; negative: fewer.';
comment on column @extschema@.operations_shard_delta.amount is 'How much more they sum up to, in EUR; negative: less.';

create table @extschema@.operations_shard_rollup (
    client_id integer,
    operation_type @extschema@.operation_type_enum,
    from_day date,
    rows bigint not null,
    amount numeric not null,
    primary key (client_id, operation_type, from_day)
) with (fillfactor = 50, vacuum_truncate = off);

comment on table @extschema@.operations_shard_rollup is
    'On Citus: count and sum of the done operations of each partition that is tracked, by client and type, in the shard of the operations.';
comment on column @extschema@.operations_shard_rollup.client_id is 'The client.';
comment on column @extschema@.operations_shard_rollup.operation_type is 'The type of the operations.';
comment on column @extschema@.operations_shard_rollup.from_day is 'The first day of the partition.';
comment on column @extschema@.operations_shard_rollup.rows is 'How many done operations there are.';
comment on column @extschema@.operations_shard_rollup.amount is 'Their sum in EUR.';
comment on index @extschema@.operations_shard_rollup_pkey is 'Finds a sum.';

create table @extschema@.operations_shard (
    key integer primary key,
    command text,
    role name,
    parity integer,
    batch bigint,
    tracked date[],
    until date[],
    forgotten date[],
    flipped bigint
) with (fillfactor = 50, vacuum_truncate = off);

comment on table @extschema@.operations_shard is
    'On Citus: a row in each shard. Whoever updates it has the trigger on it work on the rows of that shard, in one transaction on all nodes.';
comment on column @extschema@.operations_shard.key is 'A number that is in this shard.';
comment on column @extschema@.operations_shard.command is 'What was done last: flip or track.';
comment on column @extschema@.operations_shard.role is 'flip: who changes the operations.';
comment on column @extschema@.operations_shard.parity is 'flip: 0 for operations of even id, 1 for odd.';
comment on column @extschema@.operations_shard.batch is 'flip: at most so many operations.';
comment on column @extschema@.operations_shard.tracked is 'The partitions whose changes are followed, by their first days; track: those to sum up.';
comment on column @extschema@.operations_shard.until is 'track: the last days of those to sum up.';
comment on column @extschema@.operations_shard.forgotten is 'track: the partitions whose sums are to be forgotten before.';
comment on column @extschema@.operations_shard.flipped is 'flip: how many operations were changed.';
comment on index @extschema@.operations_shard_pkey is 'Finds the row of a shard.';

create table @extschema@.operations_shard_load (
    key integer,
    load bigint,
    role name,
    seed bigint,
    first_day date,
    last_day date,
    rows bigint,
    session bigint,
    shards text,
    from_row bigint,
    to_row bigint,
    loaded bigint,
    primary key (key, load)
) with (fillfactor = 50, vacuum_truncate = off);

comment on table @extschema@.operations_shard_load is
    'On Citus: a row in each shard while a load runs, which removes them before it ends. Whoever updates one has the trigger on it write rows into the shards that the row names, in one transaction on all nodes.';
comment on column @extschema@.operations_shard_load.key is 'A number that is in this shard.';
comment on column @extschema@.operations_shard_load.load is 'The load: the id of the first operation of its set.';
comment on column @extschema@.operations_shard_load.role is 'Who loads.';
comment on column @extschema@.operations_shard_load.seed is 'The seed of the set.';
comment on column @extschema@.operations_shard_load.first_day is 'The first day of the set.';
comment on column @extschema@.operations_shard_load.last_day is 'The last day of the set.';
comment on column @extschema@.operations_shard_load.rows is 'How many operations the set has.';
comment on column @extschema@.operations_shard_load.session is
    'The session of the node that works on this shard in the transaction: its pid, and above 32 bits the group of the node.';
comment on column @extschema@.operations_shard_load.shards is
    'The shards to write to, numbers of operations_shard in pg_dist_shard, written as an array; null: none, the session is asked for.';
comment on column @extschema@.operations_shard_load.from_row is 'The first row of the set to write, from 0.';
comment on column @extschema@.operations_shard_load.to_row is 'The row after the last one.';
comment on column @extschema@.operations_shard_load.loaded is 'How many of these are in those shards, and were written.';
comment on index @extschema@.operations_shard_load_pkey is 'Finds the row of a shard in a load.';

create table @extschema@.operations_shard_key (
    shard bigint primary key,
    key integer not null
);

comment on table @extschema@.operations_shard_key is 'On Citus, on the coordinator: the shards of operations_shard, each with a key that is in it.';
comment on column @extschema@.operations_shard_key.shard is 'The shard, a number of pg_dist_shard.';
comment on column @extschema@.operations_shard_key.key is 'The key.';
comment on index @extschema@.operations_shard_key_pkey is 'A shard has one key.';

create table @extschema@.operations_shard_month (
    from_day date primary key,
    partition oid not null,
    version text not null,
    summed_by xid8
) with (fillfactor = 50, vacuum_truncate = off);

comment on table @extschema@.operations_shard_month is
    'On Citus, on the coordinator: the partitions of operations that are tracked. The operations done of their shards are what operations_shard_rollup and operations_shard_delta hold.';
comment on column @extschema@.operations_shard_month.from_day is 'The first day of the partition.';
comment on column @extschema@.operations_shard_month.partition is 'The partition, an OID of pg_class.';
comment on column @extschema@.operations_shard_month.version is
    'Its version, as in operations_partition_version, when it was summed up. While it has another one it is not tracked.';
comment on column @extschema@.operations_shard_month.summed_by is
    'The transaction that has summed it up, until another one has seen that all nodes have committed it: it is followed, but its sums are not used yet.';
comment on index @extschema@.operations_shard_month_pkey is 'No two partitions begin on the same day.';

revoke all on @extschema@.operations_shard_delta, @extschema@.operations_shard_rollup, @extschema@.operations_shard,
    @extschema@.operations_shard_load, @extschema@.operations_shard_key, @extschema@.operations_shard_month from public;
