alter table @extschema@.@staging_table@ rename to @partition@;
alter table @extschema@.operations attach partition @extschema@.@partition@ for values from (@from@) to (@to@);
alter table @extschema@.@partition@ drop constraint operations_load_month;
comment on table @extschema@.@partition@ is @comment@
