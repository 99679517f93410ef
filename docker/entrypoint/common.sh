# shellcheck shell=bash
# Sourced by the entrypoints: what both services do before PostgreSQL starts.
set -euo pipefail
export LC_ALL=C

# What a file in a volume says may not move the cursor of who reads the log.
say() { printf '%s: %.500s\n' "${0##*/}" "${*//[![:print:]]/ }" >&2; }
die() {
    say "$*"
    exit 1
}

# refuse REASON: for what only other settings or other volumes mend. Docker starts a container that ended again and again, and
# `up --wait` sees only some of its ends. So it ends a few times, and then stays without a server, unhealthy.
refuse() {
    local file=/var/run/postgresql/refused ends
    ends=$(head -c 2 "$file" 2>/dev/null) || true
    [[ $ends =~ ^[0-9]$ ]] || ends=0
    [ "$ends" -gt 0 ] || say "$*"
    if [ "$ends" -lt 5 ]; then
        echo $((ends + 1)) >"$file"
        exit 1
    fi
    rm -f "$file"
    trap 'exit 1' INT TERM
    sleep infinity &
    wait
    exit 1
}

# A password may come from a file (a Compose secret): NAME_FILE stands for NAME, as in the official image.
from_file() {
    local name=$1 file_name=$1_FILE
    [ -n "${!file_name:-}" ] || return 0
    [ -z "${!name:-}" ] || die "both $name and $file_name are set: leave one of them empty"
    [ -r "${!file_name}" ] || die "$file_name names ${!file_name}, which cannot be read"
    export "$name=$(<"${!file_name}")"
    unset "$file_name"
}

# go_on_as_postgres VOLUME ARGUMENT...: starts this script anew as the server's user. Whoever has a password of the demo can be
# that user, so root does nothing in the volume but hand over its top folder, which is a mount point and cannot be replaced.
go_on_as_postgres() {
    [ "$(id -u)" = 0 ] || return 0
    mkdir -p "$1"
    chown -h postgres: "$1"
    shift
    exec setpriv --reuid=postgres --regid=postgres --init-groups env HOME=/var/lib/postgresql "$0" "$@"
}

# The names that the data were made with are in them since the first start, and so in each clone. Others would be looked for in vain.
require_same_names() {
    local name made
    while IFS='=' read -r name made; do
        case $name in
            POSTGRES_USER | POSTGRES_DB | REPLICATION_USER)
                [ "${!name:-}" = "$made" ] ||
                    refuse "$name=${!name:-}, but the data in the volume were made with $made: set it back, or delete them (docker compose down --volumes)"
                ;;
        esac
    done < <(cat "$PGDATA/operations.names" 2>/dev/null)
}

# Throws away what a first start that was cut short has left. A mount point stays, empty.
start_over() {
    say "the first start was cut short: making the database anew"
    [ ! -d "$PGDATA" ] || find -H "$PGDATA" -mindepth 1 -delete
    rmdir "$PGDATA" 2>/dev/null || true
}

require_switch() {
    case ${!1:=off} in
        on | off) ;;
        *) refuse "$1=${!1} is neither on nor off" ;;
    esac
}

require_wal_level() {
    case ${WAL_LEVEL:=replica} in
        replica | logical) ;;
        *) refuse "WAL_LEVEL=$WAL_LEVEL: give replica or logical" ;;
    esac
}

# The server would take another one for the default, with a warning in the log of each session.
require_insert_batch() {
    local batch=${OPERATIONS_INSERT_BATCH:-1}
    if ! [[ $batch =~ ^[1-9][0-9]{0,4}$ ]] || [ "$batch" -gt 10000 ]; then
        refuse "OPERATIONS_INSERT_BATCH=$batch is no number of operations: give a whole number from 1 to 10000"
    fi
}

# hold FILE: whether nobody else holds it. Descriptor 9 stays open in what this script becomes, and holds it for as long as that lives.
hold() {
    [ -e "$1" ] || : >"$1"
    # Where it is asked for its answer, a failure does not end the script by itself.
    exec 9<"$1" || die "$1 cannot be opened"
    flock --nonblock 9
}

# take_number VOLUME: the first one that no other holds, which this script then does. One at a time, as is_held, which holds it for a moment.
take_number() {
    local volume=$1
    {
        flock 8
        for ((number = 1; number <= 32; number++)); do
            lock=$volume/replica_$number.lock
            if hold "$lock"; then return; fi
        done
    } 8>>"$volume/numbers.lock"
    die "32 replicas hold this volume already"
}

# is_held VOLUME LOCK: whether another holds it.
is_held() {
    (
        flock 8
        ! flock --nonblock "$2" true
    ) 8>>"$1/numbers.lock"
}

# What Patroni has made is opened by Patroni alone.
require_without_patroni() {
    [ ! -e "$PGDATA.patroni" ] ||
        refuse "the data in the volume are a cluster's under Patroni: add --file docker/compose.ha.yaml, or take another project name"
}

escape() { printf '%s' "$1" | sed -e 's/\\/\\\\/g' -e 's/:/\\:/g'; }

# login ROLE PASSWORD: a line of a password file, for all servers.
login() {
    printf '*:*:*:%s:%s\n' "$(escape "$1")" "$(escape "$2")"
}

# With docker/compose.citus.yaml: servers log in to the workers as who asks them, the superuser or the lab. Nobody else reads the file,
# and it goes with the container.
log_in_to_workers() {
    [ -n "${OPERATIONS_WORKERS:-}" ] || return 0
    export PGPASSFILE=/var/run/postgresql/pgpass
    (
        umask 077
        {
            login "$POSTGRES_USER" "${POSTGRES_PASSWORD:-}"
            [ -z "${LAB_PASSWORD:-}" ] || login operations_lab "$LAB_PASSWORD"
        } >"$PGPASSFILE.new"
    )
    mv "$PGPASSFILE.new" "$PGPASSFILE"
}

# A replica of the coordinator has no rows: a commit on the workers waits for nobody.
require_no_sync_on_citus() {
    [ -z "${OPERATIONS_WORKERS:-}" ] || [ "${SYNC:-off}" = off ] ||
        refuse "SYNC=on: the rows are on the workers, which have no replicas, so no commit of theirs would wait: set SYNC=off"
}
