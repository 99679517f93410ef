-- $1: the number of a transaction. Whether it runs still, as far as this snapshot can tell. Of one that is long past nothing is
-- known any more.
select case
    when t.number < pg_snapshot_xmax(pg_current_snapshot()) then coalesce(pg_xact_status(t.number) = 'in progress', false)
    else true
end
from (select $1::text::xid8 as number) as t
