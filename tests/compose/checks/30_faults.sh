# shellcheck shell=bash
# Sourced by ../run: faults of running servers, by their numbers in the list of faults that the demo must survive.

# Process number, on this machine, of a service's postmaster: the only child of the container's first process.
postmaster() { pgrep -P "$(inspect "$1" '{{.State.Pid}}')"; }

timeline() { ask primary "SELECT timeline_id FROM pg_catalog.pg_control_checkpoint()"; }

# Rows from one client as fast as it can, each id written down only after its commit.
start_load() {
    acknowledged=$state/acknowledged
    yes "INSERT INTO public.operations (operation_date, operation_guid, client_id, operation_type, amount, message)
         VALUES (current_date, pg_catalog.gen_random_uuid(), 1, 'online', 1, '{}') RETURNING id;" |
        session "$PRIMARY_PORT" >"$acknowledged" 2>/dev/null &
    load=$!
    await 20 "the first thousand rows" has_lines "$acknowledged" 1000
}

has_lines() { [ "$(wc -l <"$1")" -ge "$2" ]; }

assert_nothing_lost() {
    local missing
    missing=$(
        {
            echo "CREATE TEMPORARY TABLE acknowledged (id bigint);"
            echo "COPY acknowledged FROM stdin;"
            grep -E '^[0-9]+$' "$acknowledged"
            echo '\.'
            echo "SELECT pg_catalog.count(*) FROM acknowledged AS a WHERE NOT EXISTS (SELECT FROM public.operations AS o WHERE o.id = a.id);"
        } | session "$PRIMARY_PORT"
    )
    same "acknowledged rows that are gone" 0 "$missing"
}

check_r1_primary_killed_under_load() {
    need_demo
    local before done_rows
    before=$(timeline)
    done_rows=$(ask primary "SELECT pg_catalog.count(*) FROM public.operations WHERE status = 1")
    start_load
    kill -9 "$(postmaster primary)"
    wait "$load" || true
    load=
    await 60 "the primary to be back" answers primary "SELECT 1" 1
    await 15 "the replica to stream again" streams
    same timeline "$before" "$(timeline)"
    answers primary "SELECT pg_catalog.count(*) >= $done_rows FROM public.operations WHERE status = 1" t ||
        die "status changes were lost"
    assert_nothing_lost
    assert_jobs_tick
    assert_equal_contents
}

check_idle_job_is_noticed() {
    need_demo
    local job="FROM cron.job WHERE jobname = 'change_status'"
    ask primary "SELECT cron.alter_job(jobid, active => false) $job" >>"$log"
    await 30 "the alarm about a job that is switched off" is_health primary unhealthy
    log_has primary '^health: job change_status is switched off$' || die "the log does not say why"
    ask primary "SELECT cron.alter_job(jobid, active => true) $job" >>"$log"
    await 30 "the primary to be healthy again" is_health primary healthy
}

check_r3_replica_killed_for_a_minute() {
    need_demo
    local since
    docker kill "$(container replica)" >/dev/null
    # The outage itself, not a wait for anything.
    sleep 60
    since=$(now)
    docker start "$(container replica)" >/dev/null
    await 60 "the replica to stream again" streams
    ! log_has primary BASE_BACKUP "$since" || die "the replica was cloned anew"
    assert_equal_contents
    await 30 "the replica to be healthy" is_health replica healthy
}

check_r7_network_cut_for_half_a_minute() {
    need_demo
    local network=${COMPOSE_PROJECT_NAME}_default replica cut
    replica=$(container replica)
    docker network disconnect "$network" "$replica"
    cut=$SECONDS
    await 10 "the alarm after the cut" is_health replica unhealthy
    say "alarm after $((SECONDS - cut)) s"
    # The outage itself, not a wait for anything.
    sleep $((cut + 30 - SECONDS))
    docker network connect --alias postgres_replica "$network" "$replica"
    await 60 "the replica to stream again" streams
    await 30 "the replica to be healthy" is_health replica healthy
    log_has replica '^health: not streaming' || die "the log does not say why the replica was unhealthy"
    assert_equal_contents
}

check_r14_stop_while_jobs_run() {
    need_demo
    local service since started=$SECONDS
    since=$(now)
    demo stop >>"$log" 2>&1
    [ $((SECONDS - started)) -le 30 ] || die "the stop took $((SECONDS - started)) s"
    for service in primary replica; do
        same "exit code of $service" 0 "$(inspect "$service" '{{.State.ExitCode}}')"
        log_has "$service" 'database system is shut down' "$since" || die "$service did not shut down cleanly"
    done
    up
    assert_jobs_tick
}
