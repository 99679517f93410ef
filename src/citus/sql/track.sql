-- $1: keys; $2, $3: the first and the last days of partitions to sum up; $4: the first days of those to forget.
update @extschema@.operations_shard
set command = 'track', tracked = $2::text::date[], until = $3::text::date[], forgotten = $4::text::date[],
    batch = null, role = null, parity = null, flipped = null
where key = any ($1::text::int[])
returning key, batch, batch
