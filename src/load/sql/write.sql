-- $1: a key of each session; $2: the load; $3: by key, the shards of that session; $4, $5: the first row of the set, and the one after
-- the last. How many of these each session has written. As text: of a column Citus takes immutable functions alone.
update @extschema@.operations_shard_load
set shards = $3::text::jsonb ->> key::text, from_row = $4, to_row = $5
where key = any ($1) and load = $2
returning key, loaded
