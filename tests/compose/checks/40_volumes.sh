# shellcheck shell=bash
# Sourced by ../run: volumes that are half built, or that do not belong together.

# A first start with one more init file.
up_with_init() {
    local file=$files/extra.sql
    printf '%s\n' "$1" >"$file"
    chmod 644 "$file"
    EXTRA_INIT=$file docker compose -f "$checkout/compose.yaml" -f "$here/extra-init.yaml" --progress plain \
        up --build --detach "${@:2}" >>"$log" 2>&1 </dev/null
}

check_first_start_cut_short_is_done_over() {
    down_with_data
    up_with_init "SELECT pg_catalog.pg_sleep(3600);" postgres_primary
    await 120 "the init file that never ends" log_has primary 'running .*035_extra.sql'
    docker kill "$(container primary)" >/dev/null
    up
    log_has primary 'first start was cut short' || die "the log does not say that the first start was cut short"
    answers primary "SELECT pg_catalog.count(*) >= 100000 FROM public.operations" t || die "the test data is not whole"
    check_all_objects
}

check_failing_init_fails_the_start() {
    local started=$SECONDS
    down_with_data
    if up_with_init "SELECT 1 / 0;" --wait --wait-timeout 300; then
        die "up --wait returned 0 though an init file fails"
    fi
    log_has primary '035_extra.sql:1: ERROR: *division by zero' || die "the log does not say why"
    [ $((SECONDS - started)) -lt 120 ] || die "the failure took $((SECONDS - started)) s to show"
}

# Kills the first clone when it is at about a percentage.
kill_clone_at() {
    local percent=$1
    demo rm --stop --force postgres_replica >>"$log" 2>&1
    docker volume rm "${COMPOSE_PROJECT_NAME}_replica_data" >/dev/null
    demo up --detach --no-deps postgres_replica >>"$log" 2>&1
    await 60 "a clone at $percent %" clone_is_at "$percent"
    docker kill "$(container replica)" >/dev/null
}

clone_is_at() {
    answers primary "SELECT pg_catalog.count(*) > 0 FROM pg_catalog.pg_stat_progress_basebackup
        WHERE backup_streamed >= backup_total * $1 / 100.0" t
}

# The network of a container, made slow: a clone lasts long enough to be killed where we want.
throttle() { nsenter --net --target "$(inspect primary '{{.State.Pid}}')" tc qdisc "$@"; }

check_r4_clone_killed() {
    local percent
    need_demo
    trap 'throttle del dev eth0 root' EXIT
    throttle add dev eth0 root tbf rate 80mbit burst 256kb latency 400ms
    for percent in 10 50 90; do
        kill_clone_at "$percent"
        demo up --detach --no-deps postgres_replica >>"$log" 2>&1
        await 120 "the replica to be healthy after its clone was killed at $percent %" is_health replica healthy
    done
    assert_equal_contents
}

check_r6_replica_of_another_primary() {
    local old
    need_demo
    old=$(ask primary "SELECT system_identifier FROM pg_catalog.pg_control_system()")
    demo down >>"$log" 2>&1
    docker volume rm "${COMPOSE_PROJECT_NAME}_primary_data" >/dev/null
    if up; then
        die "up --wait returned 0 though the replica's volume is another primary's"
    fi
    log_has replica "clone of another primary.*$old" || die "the log does not name the two primaries"
    docker run --rm --volume "${COMPOSE_PROJECT_NAME}_replica_data:/volume:ro" --entrypoint test \
        "$(inspect primary '{{.Image}}')" -s /volume/replica_1/PG_VERSION || die "the old replica was deleted"
    demo down >>"$log" 2>&1
    REPLICA_RECLONE=1 up
    assert_equal_contents
    up
}
