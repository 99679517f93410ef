-- $1, $2: tablespaces and numbers of files. Those that no relation of this database has.
select f.tablespace, f.number
from unnest($1::oid[], $2::oid[]) as f (tablespace, number)
where pg_filenode_relation(f.tablespace, f.number) is null
