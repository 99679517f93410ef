drop table @extschema@.@staging_table@
