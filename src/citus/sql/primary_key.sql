-- $1: a table. The name of its primary key, if the column client_id is no part of that.
select c.conname::text
from pg_constraint c
where c.conrelid = $1
  and c.contype = 'p'
  and not exists (select from pg_attribute a where a.attrelid = c.conrelid and a.attname = 'client_id' and a.attnum = any (c.conkey))
