-- $1: partitions by their first days.
with forgotten as (
    delete from @rollup@ where from_day = any ($1::text::date[])
)
delete from @delta@ where from_day = any ($1::text::date[])
