-- $1: keys; $2: how many operations of each; $3: how many keys, the first, get one more; $4: the role; $5: 0 or 1; $6: the days of the
-- partitions that are tracked. Which keys still had as many.
update @extschema@.operations_shard
set command = 'flip',
    batch = $2 + (case when key = any ($3) then 1 else 0 end),
    role = $4, parity = $5, tracked = $6::text::date[], until = null, forgotten = null, flipped = null
where key = any ($1)
returning key, flipped, batch
