#!/usr/bin/env bash
# make lint: formatting, spelling, dependencies, shell scripts, lints and documentation, with every warning an error.
# shellcheck source-path=SCRIPTDIR source=env.sh
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
load steps packages programs rust postgres toolchain
need_toolchain
cargo fmt --version >/dev/null 2>&1 || die "rustfmt is missing: rustup component add rustfmt"
cargo clippy --version >/dev/null 2>&1 || die "clippy is missing: rustup component add clippy"
have shellcheck || need_packages shellcheck shellcheck
need_program typos
need_program cargo-deny

# Every file that says it is a shell script, committed or not yet.
shell_files() {
    git -c safe.directory='*' ls-files --cached --others --exclude-standard | while IFS= read -r file; do
        if [ -f "$file" ] && head -n 1 "$file" | grep -qaE '^#(!.*[/ ](ba)?sh\b|.*shellcheck shell=)'; then printf '%s\n' "$file"; fi
    done
}

# The advisories are a git repository: where it cannot be fetched, the copy fetched last is asked, if there is one.
skipped=
check_advisories() {
    local log=$LOGS/advisories.log
    if ! timeout 60 cargo deny fetch db </dev/null >"$log" 2>&1; then
        if ! compgen -G "${CARGO_HOME:-$HOME/.cargo}/advisory-dbs/*/.git" >/dev/null; then
            skipped="SKIPPED cargo deny check advisories: their database cannot be fetched (why: $log)"
            say "$skipped"
            return
        fi
        say "    the database of advisories cannot be fetched: asking the copy fetched last"
    fi
    cargo deny --locked --offline check -D warnings advisories
}

say "== cargo fmt"
cargo fmt --all --check
say "== typos"
typos
say "== cargo deny"
cargo deny --locked check -D warnings licenses bans sources
check_advisories
say "== shellcheck"
mapfile -t files < <(shell_files)
[ ${#files[@]} -gt 0 ] || die "found no shell script: is this a git checkout?"
shellcheck -x "${files[@]}"
say "== cargo clippy"
cargo clippy --locked --workspace --all-targets --features operations_ext/pg_test -- -D warnings
say "== cargo doc"
RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --document-private-items
say "== hadolint"
need_program hadolint
git -c safe.directory='*' ls-files -z --cached --others --exclude-standard -- '*Dockerfile*' | xargs -0 hadolint
say "== the file that CREATE EXTENSION runs"
bash "$CHECKOUT/native/lab.sh" dev schema
[ -z "$skipped" ] || say "$skipped"
say "lint: all good (${#files[@]} shell scripts)"
