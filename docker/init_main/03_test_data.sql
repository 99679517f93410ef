-- Operations from August 2025 to today: OPERATIONS_TEST_ROWS of them (100000), none if that is 0.
\set rows ''
\getenv rows OPERATIONS_TEST_ROWS
SELECT coalesce(nullif(:'rows', ''), '100000')::bigint AS rows \gset

SELECT :rows > 0 AND NOT EXISTS (SELECT FROM public.operations) AS wanted \gset
\if :wanted
    CALL public.operations_test_data('2025-08-01', current_date, :rows);
\endif
