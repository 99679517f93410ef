# shellcheck shell=bash
# Sourced by the healthchecks. A reason goes to `docker inspect` and, whenever it changes, to `docker compose logs`.
set -euo pipefail

# In a folder where only root can put a link: the healthcheck is root's.
last_reason=/run/health.reason

# The container's log is what its first process writes.
log() { printf 'health: %s\n' "$1" >/proc/1/fd/2; }

unhealthy() {
    local reason=$1
    echo "$reason"
    if [ "$reason" != "$(cat "$last_reason" 2>/dev/null || true)" ]; then
        printf '%s\n' "$reason" >"$last_reason"
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

# Runs a file that returns the reasons for not being healthy, over TCP as any client would, and judges.
judge() {
    local database=$1 file=$2 password=${POSTGRES_PASSWORD:-} answer
    if [ -z "$password" ] && [ -n "${POSTGRES_PASSWORD_FILE:-}" ]; then
        password=$(<"$POSTGRES_PASSWORD_FILE")
    fi
    answer=$(PGPASSWORD=$password PGCONNECT_TIMEOUT=3 PGOPTIONS='-c statement_timeout=3s' \
        psql --no-psqlrc --no-password --quiet --tuples-only --no-align -v ON_ERROR_STOP=1 \
        -h 127.0.0.1 -p 5432 -U "${POSTGRES_USER:-postgres}" -d "$database" -f "$file" 2>&1) ||
        unhealthy "cannot ask the server: ${answer%%$'\n'*}"
    [ -z "$answer" ] || unhealthy "${answer%%$'\n'*}"
    healthy
}
