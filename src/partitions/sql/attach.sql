-- Made beside the table and then attached: ATTACH takes only ShareUpdateExclusive on the parent, so that readers and
-- writers go on, on the primary and on replicas. PARTITION OF would take AccessExclusive. The indexes come with ATTACH.
create table @extschema@.@partition@ (
    like @extschema@.operations
    including comments including compression including constraints including defaults including generated
    including storage
) with (vacuum_truncate = off); -- giving space back would cancel readers of a replica

alter table @extschema@.operations attach partition @extschema@.@partition@
    for values from (@from@) to (@to@);

comment on table @extschema@.@partition@ is @comment@;
