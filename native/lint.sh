#!/usr/bin/env bash
# make lint: formatting, lints, documentation and shell scripts, with every warning an error.
# shellcheck source-path=SCRIPTDIR source=env.sh
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
load steps packages programs rust postgres toolchain
need_toolchain
cargo fmt --version >/dev/null 2>&1 || die "rustfmt is missing: rustup component add rustfmt"
cargo clippy --version >/dev/null 2>&1 || die "clippy is missing: rustup component add clippy"
have shellcheck || need_packages shellcheck shellcheck

# Every file that says it is a shell script, committed or not yet.
shell_files() {
    git -c safe.directory='*' ls-files --cached --others --exclude-standard | while IFS= read -r file; do
        if [ -f "$file" ] && head -n 1 "$file" | grep -qaE '^#(!.*[/ ](ba)?sh\b|.*shellcheck shell=)'; then printf '%s\n' "$file"; fi
    done
}

say "== cargo fmt"
cargo fmt --all --check
say "== cargo clippy"
cargo clippy --locked --workspace --all-targets --features operations_ext/pg_test -- -D warnings
say "== cargo doc"
RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --document-private-items
say "== hadolint"
need_program hadolint
git -c safe.directory='*' ls-files -z --cached --others --exclude-standard -- '*Dockerfile*' | xargs -0 hadolint
say "== the file that CREATE EXTENSION runs"
bash "$CHECKOUT/native/lab.sh" dev schema
say "== shellcheck"
mapfile -t files < <(shell_files)
[ ${#files[@]} -gt 0 ] || die "found no shell script: is this a git checkout?"
shellcheck -x "${files[@]}"
say "lint: all good (${#files[@]} shell scripts)"
