drop table @extschema@.@stage@
