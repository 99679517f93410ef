-- $1: keys; $2: the load; $3: the role; $4: the seed; $5, $6: the first and the last day; $7: how many operations. The session that
-- works on the shard of each.
update @extschema@.operations_shard_load
set role = $3, seed = $4, first_day = $5::text::date, last_day = $6::text::date, rows = $7
where key = any ($1) and load = $2
returning key, session
