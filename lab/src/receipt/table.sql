-- The rows of the receipt: one a write, by the client of `operations-lab`. Nothing else writes here, and nothing reads it but
-- `operations-lab receipt`. Made anew if it is dropped.
create schema if not exists operations_lab;
revoke all on schema operations_lab from public;
comment on schema operations_lab is 'Of the program operations-lab: see operations_lab.receipt.';

create table if not exists operations_lab.receipt (
    sequence bigint primary key,
    timeline integer not null,
    written_at timestamptz not null default pg_catalog.clock_timestamp()
);
revoke all on table operations_lab.receipt from public;
comment on table operations_lab.receipt is
    'One row a write of the client of operations-lab, which keeps the acknowledgements outside the servers. operations-lab receipt compares. Old rows are removed.';
comment on column operations_lab.receipt.sequence is 'The number of the write. Numbers may be left out.';
comment on column operations_lab.receipt.timeline is 'The timeline of the server that took the write.';
comment on column operations_lab.receipt.written_at is 'When that server took it.';
