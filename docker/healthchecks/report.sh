# shellcheck shell=bash
# Sourced by the healthchecks. A reason, "code: what is wrong; what to do", goes to `docker inspect` and, when another one takes its
# place, to `docker compose logs`.
set -euo pipefail
export LC_ALL=C

# In a folder where only root can put a link: the healthcheck is root's.
last_reason=/run/health.reason
last_sums=/run/health.sums
asked_for_sums=/run/health.sums.asked

# The container's log is what its first process writes.
log() { printf 'health: %s\n' "$1" >/proc/1/fd/2; }

unhealthy() {
    local reason=${1%%$'\n'*}
    reason=${reason//[![:print:]]/ }
    echo "$reason"
    # The evidence has numbers that change with every look.
    if [ "${reason%%:*}" != "$(cat "$last_reason" 2>/dev/null || true)" ]; then
        printf '%s\n' "${reason%%:*}" >"$last_reason"
        log "$reason"
    fi
    exit 1
}

healthy() {
    if [ -e "$last_reason" ]; then
        rm -f "$last_reason"
        log good
    fi
    exit 0
}

# How long the container runs, in seconds.
age() {
    local uptime ticks
    read -r uptime _ </proc/uptime
    ticks=$(cut -d ' ' -f 22 /proc/1/stat)
    echo $((${uptime%.*} - ticks / 100))
}

# How long its server runs.
server_age() { echo $(($(date +%s) - $(stat -c %Y /var/run/postgresql/.s.PGSQL.5432.lock 2>/dev/null || date +%s))); }

# starts FILE CODE...: judges, and is healthy also for a reason of these codes.
starts() {
    local reason file=$1
    shift
    reason=$(judge "$file" 2>/dev/null) && healthy
    for code in "$@"; do
        # shellcheck disable=SC2053 # a pattern
        if [[ ${reason%%:*} == $code ]]; then
            echo "starting: $reason"
            exit 0
        fi
    done
    unhealthy "$reason"
}

# This container's address: pg_hba.conf asks who comes from there for a password, as it asks everybody but the loopback address.
# Looked up in no DNS, which does not answer where the network is cut.
own_address() {
    awk '/32 host/ && last !~ /^127\./ { print last; exit } { last = $2 }' /proc/net/fib_trie
}

# ask FILE [HOST]: what a file returns, over TCP as any client would.
ask() {
    local file=$1 host=${2:-127.0.0.1}
    PGPASSWORD=$password PGCONNECT_TIMEOUT=3 PGOPTIONS='-c statement_timeout=3s -c lock_timeout=1s' \
        timeout 8 psql --no-psqlrc --no-password --quiet --tuples-only --no-align -v ON_ERROR_STOP=1 \
        -h "$host" -p 5432 -U "$user" -d "${POSTGRES_DB:-operations_db}" -f "$(dirname "$0")/$file" 2>&1
}

# A line of a file that the server's user may have made anything.
line_of() { timeout 1 head -c 4096 "$2" 2>/dev/null | sed -n "${1}p"; }

# Whether there is such a note beside the data of this container's server: see operations-lab node.
is_noted() {
    local note
    for note in /var/lib/postgresql/data/*."$1"; do
        if [ -e "$note" ] && [ "$(line_of 1 "${note%."$1"}.host")" = "$HOSTNAME" ]; then return 0; fi
    done
    return 1
}

# What was the primary is to follow another server, and waits for that one or is being cloned from it.
follows_later() {
    if is_noted follows; then
        unhealthy "follows_later: it was the primary, and becomes the replica of the new one as soon as that answers; docker compose logs"
    fi
}

# The lab has fenced off the server of this container.
require_open() {
    if is_noted fenced; then
        follows_later
        unhealthy "fenced: it was the primary, and another server was to take over; docker compose up --detach --no-deps lab; docker compose exec lab operations-lab rejoin"
    fi
}

# Whether a server is ready, as its own files say: asking it too early would leave errors in its log.
require_ready() {
    local folder state=
    require_open
    if ! folder=$(line_of 2 /var/run/postgresql/.s.PGSQL.5432.lock); then
        follows_later
        unhealthy "no_server: no server runs; docker compose logs"
    fi
    state=$(line_of 8 "$folder/postmaster.pid") || true
    case $state in
        ready* | standby*) ;;
        *) unhealthy "not_ready: the server is starting or stopping" ;;
    esac
}

# judge FILE [SUMS]: runs a file that returns the reasons for not being healthy, and judges; once a minute also that of the sums.
judge() {
    local answer address sums=${2-sums.sql} user=${POSTGRES_USER:-postgres} password=${POSTGRES_PASSWORD:-}
    if [ -z "$password" ] && [ -n "${POSTGRES_PASSWORD_FILE:-}" ]; then
        password=$(<"$POSTGRES_PASSWORD_FILE")
    fi
    require_ready
    address=$(own_address)
    if ! answer=$(ask "$1" "$address"); then
        case $answer in
            *"password authentication failed"*)
                unhealthy "password_differs: POSTGRES_PASSWORD is not the password of the role $user, which got it at the first start; set it back, or change it there with ALTER ROLE"
                ;;
            *"no pg_hba.conf entry"*) answer=$(ask "$1") || unhealthy "no_answer: ${answer%%$'\n'*}" ;;
            *) unhealthy "no_answer: ${answer%%$'\n'*}" ;;
        esac
    fi
    [ -z "$answer" ] || unhealthy "$answer"
    [ -n "$sums" ] || healthy
    is_younger "$asked_for_sums" '1 minute' || look_at_sums "$sums" "$address"
    answer=$(cat "$last_sums" 2>/dev/null || true)
    [ -z "$answer" ] || unhealthy "$answer"
    healthy
}

is_younger() { [ -n "$(find "$1" -newermt "-$2" 2>/dev/null)" ]; }

# look_at_sums FILE HOST: notes what is to be said of the sums.
look_at_sums() {
    local answer
    : >"$asked_for_sums"
    if ! answer=$(ask "$1" "$2"); then
        # A busy server answers later. What it said last counts, if that is not too long ago.
        case $answer in
            *"canceling statement due to "*" timeout"*)
                if is_younger "$last_sums" '5 minutes' || [ "$(age)" -lt 300 ]; then return; fi
                ;;
        esac
        answer="no_answer: ${answer%%$'\n'*}"
    fi
    printf '%s' "$answer" >"$last_sums"
}
