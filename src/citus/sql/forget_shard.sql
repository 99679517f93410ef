-- $1: partitions by their first days.
delete from @rollup@ where from_day = any ($1::text::date[])
