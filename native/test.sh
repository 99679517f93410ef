#!/usr/bin/env bash
# make test: all tests that need no Docker. Every suite runs, whatever became of those before it.
# shellcheck source-path=SCRIPTDIR source=env.sh
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
load steps packages rust postgres build toolchain
need_toolchain
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

# Errors with their DETAIL and HINT are part of the surface. A file without expected output is no test but a mistake.
regress() {
    local log=$LOGS/regress.log
    cargo pgrx regress --resetdb --psql-verbosity default 2>&1 | tee "$log" || return 1
    ! grep -q SKIP "$log"
}

test_extension() { cargo pgrx test; }
# What cannot be tested on this machine passes, and says so; it is repeated at the end.
test_cluster() {
    build_extension && cargo test --no-fail-fast --locked -p operations_cluster 2> >(tee "$LOGS/cluster-tests.log" >&2)
}

suite "row model" cargo test --locked -p operations_model
suite "lab program" cargo test --locked -p operations_lab
suite "extension, inside the server" test_extension
suite "extension, as a user sees it" regress
suite "clusters, from outside" test_cluster
test_demo() { cargo test --locked -p operations_demo_checks | tee "$LOGS/demo-tests.log"; }
suite "the demo itself" test_demo
cat "$LOGS/cluster-tests.log" "$LOGS/demo-tests.log" 2>/dev/null | grep '^SKIPPED' || true

[ ${#failed[@]} = 0 ] || printf 'failed: %s\n' "${failed[@]}"
say "suites: $passed passed, ${#failed[@]} failed"
[ ${#failed[@]} = 0 ]
