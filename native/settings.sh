# shellcheck shell=bash disable=SC2034
# Sourced after env.sh: the demo's settings. What is given in the environment wins; what is not is as it was at the last
# start, so that `make psql` finds a demo that was started on other ports (demo.sh itself goes back to the usual ones);
# the rest has defaults.

SETTINGS=$DEMO/settings
declare -gA DEFAULTS=(
    [PRIMARY_PORT]=5432 [REPLICA_PORT]=5433
    [POSTGRES_USER]=postgres [POSTGRES_PASSWORD]=postgres [POSTGRES_DB]=operations_db
    [REPLICATION_USER]=replicator [REPLICATION_PASSWORD]=123123
)

# NAME_FILE stands for NAME, as in the official image.
read_password_file() {
    local name=$1 file_name=$1_FILE
    [ -n "${!file_name:-}" ] || return 0
    [ -z "${!name:-}" ] || die "both $name and $file_name are set: leave one of them empty"
    [ -r "${!file_name}" ] || die "$file_name names ${!file_name}, which cannot be read"
    printf -v "$name" '%s' "$(<"${!file_name}")"
}

check_settings() {
    local name
    for name in "${!DEFAULTS[@]}"; do
        case ${!name} in *$'\n'*) die "$name must be one line" ;; esac
    done
    for name in PRIMARY_PORT REPLICA_PORT; do
        if ! [[ ${!name} =~ ^[0-9]{4,5}$ ]] || [ "${!name}" -lt 1024 ] || [ "${!name}" -gt 65535 ]; then
            die "$name=${!name} is no port: give a number from 1024 to 65535"
        fi
    done
    [ "$PRIMARY_PORT" != "$REPLICA_PORT" ] || die "PRIMARY_PORT and REPLICA_PORT are both $PRIMARY_PORT: make them differ"
}

load_settings() {
    local name value
    declare -gA SAVED=()
    while IFS='=' read -r name value; do
        [ -z "$name" ] || [ -z "${DEFAULTS[$name]:-}" ] || SAVED[$name]=$value
    done < <(as_server_user cat "$SETTINGS" 2>/dev/null)
    read_password_file POSTGRES_PASSWORD
    read_password_file REPLICATION_PASSWORD
    for name in "${!DEFAULTS[@]}"; do
        [ -n "${!name:-}" ] || printf -v "$name" '%s' "${SAVED[$name]:-${DEFAULTS[$name]}}"
        # Not exported: the servers and most programs have no business with them.
        export -n "${name?}"
    done
    check_settings
}

# The data were made with a user and a database of certain names, and those stay.
check_against_data() {
    local name
    for name in POSTGRES_USER POSTGRES_DB REPLICATION_USER; do
        [ "${SAVED[$name]:-${!name}}" = "${!name}" ] ||
            die "$name=${!name}, but the demo's data were made with ${SAVED[$name]}: leave it, or run make clean first"
    done
}

# After a start that failed on a password: the one that worked before is the one to keep.
restore_passwords() {
    local name
    for name in POSTGRES_PASSWORD REPLICATION_PASSWORD; do printf -v "$name" '%s' "${SAVED[$name]:-${!name}}"; done
    save_settings
}

# Writes standard input into a file of the server's user, which nobody else may read.
write_as_server_user() {
    # shellcheck disable=SC2016 # the inner shell expands these
    as_server_user sh -c 'umask 077; rm -f "$1.new"; cat >"$1.new" && mv -T "$1.new" "$1"' sh "$1"
}

save_settings() {
    local name
    for name in "${!DEFAULTS[@]}"; do printf '%s=%s\n' "$name" "${!name}"; done | write_as_server_user "$SETTINGS"
}
