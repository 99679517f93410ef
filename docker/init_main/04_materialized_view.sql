-- The view as of now, and fresh statistics for the first plans. VACUUM marks the loaded pages as visible to all.
SELECT relispopulated AS populated FROM pg_catalog.pg_class WHERE oid = 'public.client_type_sum_mv'::regclass \gset
\if :populated
    REFRESH MATERIALIZED VIEW CONCURRENTLY public.client_type_sum_mv;
\else
    REFRESH MATERIALIZED VIEW public.client_type_sum_mv;
\endif
VACUUM (ANALYZE) public.operations;
VACUUM (ANALYZE) public.client_type_sum_mv;
