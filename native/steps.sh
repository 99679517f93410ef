# shellcheck shell=bash disable=SC2034
# Sourced after env.sh: runs a long command quietly and says how far it is.

LOGS=$STATE_DIR/logs
mkdir -p "$LOGS"

# What a log says of the progress: cargo's "n/m: crates", else its last line.
progress_of() {
    tail -c 4000 "$1" 2>/dev/null | tr '\r' '\n' | sed -e 's/\x1b\[[0-9;]*[A-Za-z]//g' -e 's/^ *//' |
        awk 'match($0, /[0-9]+\/[0-9]+: /) { far = "crate " substr($0, RSTART, RLENGTH - 2) } NF { last = $0 }
             END { print (far != "" ? far : substr(last, 1, 100)) }'
}

report_progress() {
    local log=$1 parent=$2 started=$SECONDS
    while sleep 10 >/dev/null 2>&1 && kill -0 "$parent" 2>/dev/null; do
        say "    $((SECONDS - started)) s: $(progress_of "$log")"
    done
}

# run_step NAME WHAT COMMAND...: output goes to a log; on failure its last lines are shown.
run_step() {
    local log=$LOGS/$1.log what=$2 started=$SECONDS reporter status=0
    shift 2
    say "$what"
    report_progress "$log" $$ &
    reporter=$!
    CARGO_TERM_PROGRESS_WHEN=always CARGO_TERM_PROGRESS_WIDTH=100 "$@" >"$log" 2>&1 </dev/null || status=$?
    kill "$reporter" 2>/dev/null || true
    wait "$reporter" 2>/dev/null || true
    if [ "$status" != 0 ]; then
        tr '\r' '\n' <"$log" | grep -vE '^ *(Building \[|$)' | tail -n 25 >&2
        die "$what: failed after $((SECONDS - started)) s (all of it: $log)"
    fi
    [ $((SECONDS - started)) -lt 2 ] || say "    done in $((SECONDS - started)) s"
}
