# shellcheck shell=bash
# Sourced by ../run: the demo as its user meets it.

check_up_from_nothing() {
    down_with_data
    need_demo
    same "health of the two" "healthy healthy" "$(health primary) $(health replica)"
    # What --wait promised is true now, not soon.
    answers primary "SELECT pg_catalog.count(*) FROM public.operations_jobs() WHERE scheduler = 'pg_cron' AND runs > 0
        AND failures = 0 AND job_name IN ('operation_insert_one', 'change_status')" 2 || die "both jobs did not run"
    streams || die "no replica streams"
    answers replica "SELECT pg_catalog.pg_is_in_recovery()" t || die "the replica is not in recovery"
}

check_all_objects() {
    need_demo
    local kind wanted found
    while IFS='|' read -r kind wanted found; do
        same "$kind" "$wanted" "$(ask primary "$found")"
    done <<'SQL'
table|p|SELECT relkind FROM pg_catalog.pg_class WHERE oid = 'public.operations'::regclass
materialized view|m|SELECT relkind FROM pg_catalog.pg_class WHERE oid = 'public.client_type_sum_mv'::regclass
enum|offline,online|SELECT pg_catalog.string_agg(e::text, ',') FROM pg_catalog.unnest(pg_catalog.enum_range(NULL::public.operation_type_enum)) AS e
procedures that are missing|0|SELECT pg_catalog.count(*) FROM pg_catalog.unnest(ARRAY['operations_setup', 'operations_test_data', 'operation_insert_one', 'change_status', 'operations_maintain_partitions', 'operations_schedule', 'operations_unschedule']) AS p WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_proc WHERE prokind = 'p' AND pronamespace = 'public'::regnamespace AND proname = p)
extensions|operations_ext,pg_cron|SELECT pg_catalog.string_agg(extname, ',' ORDER BY extname) FROM pg_catalog.pg_extension WHERE extname IN ('operations_ext', 'pg_cron')
months since 2025-08, today's and three ahead|t|SELECT pg_catalog.bool_and(pg_catalog.to_regclass('public.operations_' || pg_catalog.to_char(m, 'YYYY_MM')) IS NOT NULL) FROM pg_catalog.generate_series('2025-08-01', current_date + interval '3 months', interval '1 month') AS m
test data|t|SELECT pg_catalog.count(*) >= 100000 FROM public.operations
jobs|change_status,operation_insert_one,operations_maintain_partitions,operations_prune_job_history|SELECT pg_catalog.string_agg(jobname, ',' ORDER BY jobname) FROM cron.job WHERE active
replication user|t|SELECT rolreplication AND NOT rolsuper FROM pg_catalog.pg_roles WHERE rolname = 'replicator'
slots|t|SELECT pg_catalog.bool_and(active) FROM pg_catalog.pg_replication_slots
SQL
}

check_rows_grow_and_flip() {
    need_demo
    local rows flipped
    rows=$(ask primary "SELECT pg_catalog.count(*) FROM public.operations")
    flipped=$(ask primary "SELECT pg_catalog.count(*) FROM public.operations WHERE status = 1")
    await 20 "more rows than $rows" answers primary "SELECT pg_catalog.count(*) > $rows FROM public.operations" t
    await 20 "more done rows than $flipped" answers primary \
        "SELECT pg_catalog.count(*) > $flipped FROM public.operations WHERE status = 1" t
    same "failed runs" 0 "$(ask primary "SELECT pg_catalog.count(*) FROM cron.job_run_details WHERE status = 'failed'")"
    await 20 "the materialized view to be the sum of what is done" answers primary \
        "SELECT NOT EXISTS (TABLE public.client_type_sum_mv EXCEPT SELECT client_id, operation_type, pg_catalog.sum(amount)
         FROM public.operations WHERE status = 1 GROUP BY client_id, operation_type)" t
}

check_replica_is_equal() {
    need_demo
    assert_equal_contents
}

check_replica_refuses_writes() {
    need_demo
    local answer
    answer=$(ask replica "DELETE FROM public.operations" -v VERBOSITY=verbose 2>&1) && die "the replica took a write"
    [[ $answer == *25006* ]] || die "not a read-only error: $answer"
}

check_second_up_changes_nothing() {
    need_demo
    local before after
    before=$(inspect primary '{{.Id}} {{.State.StartedAt}}')$(inspect replica '{{.Id}} {{.State.StartedAt}}')
    up
    after=$(inspect primary '{{.Id}} {{.State.StartedAt}}')$(inspect replica '{{.Id}} {{.State.StartedAt}}')
    same "containers after a second up" "$before" "$after"
}

check_down_and_up_keep_the_data() {
    need_demo
    local rows system
    rows=$(ask primary "SELECT pg_catalog.count(*) FROM public.operations")
    system=$(ask primary "SELECT system_identifier FROM pg_catalog.pg_control_system()")
    demo down --timeout 30 >>"$log" 2>&1
    up
    same "system identifier" "$system" "$(ask primary "SELECT system_identifier FROM pg_catalog.pg_control_system()")"
    answers primary "SELECT pg_catalog.count(*) >= $rows FROM public.operations" t || die "rows are gone"
    ! log_has primary BASE_BACKUP || die "the replica was cloned anew"
    assert_equal_contents
}
