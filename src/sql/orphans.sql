-- $1, $2: tablespaces and relfilenumbers. Those that no relation of this database has. In pg_global (1664) are files of no database.
select f.tablespace, f.number
from unnest($1::oid[], $2::oid[]) as f (tablespace, number)
where pg_filenode_relation(f.tablespace, f.number) is null
  and f.tablespace not in (0, 1664)
