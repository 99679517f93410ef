-- The view as of now, and fresh statistics for the first plans. VACUUM marks the loaded pages as visible to all.
select relispopulated as populated from pg_catalog.pg_class where oid = 'public.client_type_sum_mv'::regclass \gset
\if :populated
    refresh materialized view concurrently public.client_type_sum_mv;
\else
    refresh materialized view public.client_type_sum_mv;
\endif
vacuum (analyze) public.operations;
vacuum (analyze) public.client_type_sum_mv;
