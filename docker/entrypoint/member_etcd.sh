# shellcheck shell=bash
# Sourced by member.sh. Who may write to etcd commands the cluster, so it asks for a password. That is made at the first start, and kept
# beside the data in both volumes: whichever is lost, the other one has it.
volumes=(/var/lib/postgresql/data /servers/primary /servers/replica)

token() {
    local volume
    for volume in "${volumes[@]}"; do
        if grep -xE '[0-9a-f]{64}' "$volume/etcd.token" 2>/dev/null; then return; fi
    done
    return 1
}

log_in_to_etcd() {
    local own=${volumes[0]}/etcd.token answer
    until token >/dev/null; do
        # The others have it from the first one.
        if [ "$OPERATIONS_MEMBER" = postgres_primary ]; then
            (umask 077 && od -An -N32 -tx1 /dev/urandom | tr -d ' \n' >"$own.new" && echo >>"$own.new")
            sync "$own.new"
            mv "$own.new" "$own"
        else
            sleep 1
        fi
    done
    PATRONI_ETCD3_PASSWORD=$(token)
    ETCDCTL_USER=root:$PATRONI_ETCD3_PASSWORD
    export PATRONI_ETCD3_PASSWORD ETCDCTL_USER
    if [ ! -s "$own" ]; then (umask 077 && token >"$own.$OPERATIONS_MEMBER" && mv "$own.$OPERATIONS_MEMBER" "$own"); fi
    # Whoever gives no name is let in only where no password is asked for yet.
    local said=''
    until answer=$(env -u ETCDCTL_USER etcdctl --command-timeout=5s get --keys-only /service 2>&1) && [ "$OPERATIONS_MEMBER" = postgres_primary ] ||
        [[ $answer == *"user name is empty"* ]]; do
        answer=${answer##*$'\n'}
        [ "$said" = "$answer" ] || say "waiting for etcd: ${answer:-it asks for no password yet}"
        said=$answer
        sleep 1
    done
    if [[ $answer != *"user name is empty"* ]]; then
        set_password
    fi
    until answer=$(etcdctl --command-timeout=5s get --keys-only /service 2>&1); do
        [[ $answer != *"authentication failed"* ]] ||
            refuse "etcd has another password than etcd.token beside the data: its volumes are another cluster's; docs/patroni.md"
        say "waiting for etcd: ${answer##*$'\n'}"
        sleep 1
    done
}

# A start that was cut short may have made some of it.
set_password() {
    printf '%s\n' "$PATRONI_ETCD3_PASSWORD" | env -u ETCDCTL_USER etcdctl user add root --interactive=false || true
    printf '%s\n' "$PATRONI_ETCD3_PASSWORD" | env -u ETCDCTL_USER etcdctl user passwd root --interactive=false
    env -u ETCDCTL_USER etcdctl role add root || true
    env -u ETCDCTL_USER etcdctl user grant-role root root || true
    env -u ETCDCTL_USER etcdctl auth enable
} >/dev/null 2>&1
