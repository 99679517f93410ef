alter table @extschema@.operations detach partition @partition@;
