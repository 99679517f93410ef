#!/usr/bin/env bash
# make bench: what the extension costs, in tables. BENCH gives options: make bench BENCH=--help
# shellcheck source-path=SCRIPTDIR source=env.sh
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
load steps packages rust postgres build toolchain
need_toolchain
trap stop_leftover_servers EXIT
stop_leftover_servers
build_extension
run_step bench-build "Building the benchmark (release)" cargo build --locked --release -p operations_cluster --bin bench
read -r -a options <<<"${BENCH:-}"
cargo run --quiet --locked --release -p operations_cluster --bin bench -- "${options[@]}"
