# shellcheck shell=bash
# Sourced by ../run: what only a server with the contrib modules can tell of a load.

check_loads_leave_sound_tables_and_indexes() {
    need_demo
    local months
    # New months, months with rows, and, three months ahead, empty ones: beside the jobs, and by several processes.
    ask primary "CALL public.operations_test_data('2023-01-01', '2023-06-30', 120000, 1, 3)" 2>>"$log"
    ask primary "CALL public.operations_test_data('2023-04-01', '2023-09-30', 120000, 2, 3)" 2>>"$log"
    months="(date_trunc('month', current_date) + interval '1 month')::date, (date_trunc('month', current_date) + interval '4 months')::date - 1"
    ask primary "CALL public.operations_test_data($months, 90000, 3, 3)" 2>>"$log"
    grep -q 'rows in place' "$log" || die "no month was filled in place"
    same "rows of the three loads" t "$(ask primary "SELECT pg_catalog.count(*) >= 330000 FROM public.operations
        WHERE operation_date < '2024-01-01' OR operation_date >= pg_catalog.date_trunc('month', current_date) + interval '1 month'")"

    ask primary "CREATE EXTENSION IF NOT EXISTS amcheck"
    same "damaged places of the heap" 0 "$(ask primary "SELECT pg_catalog.count(*) FROM pg_catalog.pg_partition_tree('public.operations') AS t,
        LATERAL public.verify_heapam(t.relid) WHERE t.isleaf")"
    ask primary "SELECT public.bt_index_parent_check(i.indexrelid, true, true) FROM pg_catalog.pg_partition_tree('public.operations') AS t
        JOIN pg_catalog.pg_index AS i ON i.indrelid = t.relid WHERE t.isleaf" >/dev/null
    docker exec --user postgres "$(container primary)" pg_amcheck --heapallindexed --username "$POSTGRES_USER" \
        --database "$POSTGRES_DB" --table 'public.operations*' >>"$log" 2>&1 || die "pg_amcheck found something: see $log"
    ask primary "DROP EXTENSION amcheck"
    ask primary "CREATE EXTENSION IF NOT EXISTS pg_visibility"
    same "rows that are not as visible, or as frozen, as the visibility map says" 0 "$(ask primary "SELECT pg_catalog.count(*)
        FROM pg_catalog.pg_partition_tree('public.operations') AS t, LATERAL (SELECT * FROM public.pg_check_visible(t.relid)
        UNION ALL SELECT * FROM public.pg_check_frozen(t.relid)) AS f WHERE t.isleaf")"
    ask primary "DROP EXTENSION pg_visibility"
    assert_equal_contents
}
