alter index @extschema@.@index@ rename to @name@;
comment on index @extschema@.@name@ is null -- the table's index has it, once
