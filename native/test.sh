#!/usr/bin/env bash
# make test, test-long, test-all: the tests that need no Docker. Usage: test.sh [short|long|all]. Every suite runs, whatever became
# of those before it. What of the clusters is long, .config/nextest.toml says.
# shellcheck source-path=SCRIPTDIR source=env.sh
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
load steps packages programs rust postgres build toolchain
what=${1:-short}
case $what in short | long | all) ;; *) die "test.sh $what: give short, long or all" ;; esac
need_toolchain
need_program cargo-nextest
trap stop_leftover_servers EXIT
stop_leftover_servers

passed=0 failed=()
suite() {
    local what=$1 started=$SECONDS
    shift
    say "== $what"
    if "$@" </dev/null; then
        passed=$((passed + 1))
        say "== $what: passed in $((SECONDS - started)) s"
    else
        failed+=("$what")
        say "== $what: FAILED after $((SECONDS - started)) s"
    fi
}

# One set of packages, so that what they have in common is built once.
tests() { cargo nextest run --locked --no-fail-fast -p operations_model -p operations_lab -p operations_cluster -p operations_demo_checks "$@"; }

# Errors with their DETAIL and HINT are part of the surface. A file without expected output is no test but a mistake.
regress() {
    local log=$LOGS/regress.log
    cargo pgrx regress --resetdb --psql-verbosity default 2>&1 | tee "$log" || return 1
    ! grep -q SKIP "$log"
}

# Most of them wait most of the time: three for each core keep it busy.
servers() {
    build_extension && tests --test-threads "$((3 * $(nproc)))" -E 'package(operations_cluster) | package(operations_demo_checks)' "$@"
}

# What cannot be tested on this machine passes, and says so; it is repeated at the end.
export OPERATIONS_SKIPPED=$LOGS/skipped.log
rm -f "$OPERATIONS_SKIPPED"

if [ "$what" != long ]; then
    # Meanwhile: cargo has a lock for each profile. Whether it succeeds, build_extension sees.
    compile_extension >"$LOGS/extension-meanwhile.log" 2>&1 </dev/null &
    compiling=$!
    suite "row model and lab program" tests -E 'package(operations_model) | package(operations_lab)'
    suite "extension, inside the server" cargo pgrx test
    suite "extension, as a user sees it" regress
    wait "$compiling" || true
fi
case $what in
    # Long enough to see that they work; at length in test-long.
    short) OPERATIONS_RANDOM_SECONDS=${OPERATIONS_RANDOM_SECONDS:-10} suite "clusters and demo, from outside" servers ;;
    long) suite "clusters from outside, what is long" servers --profile long ;;
    all) suite "clusters and demo, from outside, all" servers --profile all ;;
esac
[ ! -e "$OPERATIONS_SKIPPED" ] || cat "$OPERATIONS_SKIPPED"

[ ${#failed[@]} = 0 ] || printf 'failed: %s\n' "${failed[@]}"
say "suites: $passed passed, ${#failed[@]} failed"
[ ${#failed[@]} = 0 ]
