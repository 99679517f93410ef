create table if not exists @extschema@.operations (
    id bigint generated always as identity,
    operation_date date not null,
    operation_guid uuid not null,
    client_id integer not null,
    operation_type @extschema@.operation_type_enum not null,
    amount numeric(12, 2) not null check (amount > 0),
    status smallint not null default 0 check (status in (0, 1)),
    message jsonb not null,
    primary key (operation_date, id)
) partition by range (operation_date);

comment on table @extschema@.operations is 'Operations of clients, one partition a month (operations_YYYY_MM).';
comment on column @extschema@.operations.id is 'Ascending number of the operation.';
comment on column @extschema@.operations.operation_date is 'The day of the operation. Decides the partition.';
comment on column @extschema@.operations.operation_guid is 'The identifier that the operation came with, a version 4 UUID.';
comment on column @extschema@.operations.client_id is 'The client, 1 to about 5000. Few are very active.';
comment on column @extschema@.operations.operation_type is 'How the operation came in.';
comment on column @extschema@.operations.amount is 'The amount in EUR, greater than 0.';
comment on column @extschema@.operations.status is '0: new; 1: done. change_status() takes an operation from 0 to 1.';
comment on column @extschema@.operations.message is 'What the bank got on the wire: account number, client, type, channel, counterparty and more.';
