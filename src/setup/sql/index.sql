create index @index@ on @extschema@.operations (status, id);
comment on index @extschema@.@index@ is 'Finds the oldest new operations without reading the done ones.';
