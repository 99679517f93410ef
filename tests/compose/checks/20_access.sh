# shellcheck shell=bash
# Sourced by ../run: who may come in, and who sees the passwords.

# refused WHAT PATTERN COMMAND...: psql must fail for that reason.
refused() {
    local what=$1 pattern=$2 answer
    shift 2
    answer=$("$@" 2>&1) && die "$what was let in"
    [[ $answer == *$pattern* ]] || die "$what was refused for another reason: $answer"
}

# connect HOST PORT USER PASSWORD PARAMETERS
connect() {
    PGPASSWORD=$4 psql --no-psqlrc --no-password -qAt -c 'IDENTIFY_SYSTEM' \
        "host=$1 port=$2 user=$3 dbname=$POSTGRES_DB connect_timeout=5 $5"
}

check_wrong_passwords_are_refused() {
    need_demo
    assert_wrong_passwords_are_refused
}

assert_wrong_passwords_are_refused() {
    local port
    for port in "$PRIMARY_PORT" "$REPLICA_PORT"; do
        refused "a wrong password" "password authentication failed" connect 127.0.0.1 "$port" "$POSTGRES_USER" wrong ""
        refused "no password" "no password supplied" connect 127.0.0.1 "$port" "$POSTGRES_USER" "" ""
        refused "a wrong replication password" "password authentication failed" \
            connect 127.0.0.1 "$port" "$REPLICATION_USER" wrong replication=true
    done
    connect 127.0.0.1 "$PRIMARY_PORT" "$REPLICATION_USER" "$REPLICATION_PASSWORD" replication=true >/dev/null ||
        die "the right replication password was refused"
}

# An address of this machine that is in none of the primary's networks, used towards the primary alone.
check_replication_from_outside_is_refused() {
    need_demo
    local address gateway outside=198.51.100.7 status=0
    address=$(inspect primary '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}')
    gateway=$(ip -o route get "$address" | sed 's/.* dev \([^ ]*\).*/\1/')
    connect "$address" 5432 "$REPLICATION_USER" "$REPLICATION_PASSWORD" replication=true >/dev/null ||
        die "a host of the network was refused"
    ip address add "$outside/32" dev lo
    ip route add "$address/32" dev "$gateway" src "$outside"
    (refused "replication from $outside" "no pg_hba.conf entry for replication connection from host \"$outside\"" \
        connect "$address" 5432 "$REPLICATION_USER" "$REPLICATION_PASSWORD" replication=true) || status=1
    ip route del "$address/32" dev "$gateway" src "$outside"
    ip address del "$outside/32" dev lo
    return "$status"
}

check_passwords_are_nowhere_to_be_seen() {
    need_demo
    local service seen password
    for service in primary replica; do
        seen=$(inspect "$service" '{{json .Path}} {{json .Args}} {{json .Config.Cmd}} {{json .Config.Entrypoint}} {{json .Config.Healthcheck}}'
            docker top "$(container "$service")" -eo pid,args
            logs "$service"
            docker history --no-trunc "$(inspect "$service" '{{.Image}}')")
        for password in "$POSTGRES_PASSWORD" "$REPLICATION_PASSWORD" "${REPLICATION_PASSWORD:0:4}" "${POSTGRES_PASSWORD:0:4}"; do
            ! grep -qF -- "$password" <<<"$seen" || die "a password is in the command lines or the log of $service"
        done
    done
}
