# shellcheck shell=bash
# Sourced by ../run: what compose.yaml offers beyond the plain start.

check_three_replicas() {
    need_demo
    local ports=$REPLICA_PORT-$((REPLICA_PORT + 2)) since
    REPLICA_PORT=$ports up --scale postgres_replica=3
    await 30 "three replicas with a slot each" three_follow
    # Each finds its number again, and with it its folder and its slot.
    since=$(now)
    demo restart postgres_replica >>"$log" 2>&1
    REPLICA_PORT=$ports up --scale postgres_replica=3
    await 30 "three replicas after a restart" three_follow
    ! log_has primary BASE_BACKUP "$since" || die "a replica was cloned anew"
    up --scale postgres_replica=1
}

three_follow() {
    answers primary "SELECT pg_catalog.count(*) FROM pg_catalog.pg_replication_slots AS s JOIN pg_catalog.pg_stat_replication AS r
        ON r.pid = s.active_pid WHERE s.slot_name LIKE 'postgres_replica_%' AND r.state = 'streaming'" 3
}

check_passwords_from_files() {
    down_with_data
    printf '%s\n' "$POSTGRES_PASSWORD" >"$files/postgres"
    printf '%s' "$REPLICATION_PASSWORD" >"$files/replication"
    chmod 600 "$files/postgres" "$files/replication"
    POSTGRES_PASSWORD_FILE=$files/postgres REPLICATION_PASSWORD_FILE=$files/replication \
        docker compose -f "$checkout/compose.yaml" -f "$checkout/docker/compose.secrets.yaml" --progress plain \
        up --build --wait --wait-timeout 600 >>"$log" 2>&1 </dev/null
    assert_wrong_passwords_are_refused
    for service in primary replica; do
        for password in "$POSTGRES_PASSWORD" "$REPLICATION_PASSWORD"; do
            ! inspect "$service" '{{json .Config}}' | grep -qF -- "$password" || die "docker inspect shows a password of $service"
        done
    done
    down_with_data
}
