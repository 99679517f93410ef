#!/usr/bin/env bash
# make test-compose: the Compose demo on a real Docker engine. Usage: bash native/test-compose.sh [PATTERN...], to run the checks
# whose names contain a pattern. As root on Debian it installs what is missing. Fails where no engine can be had.
# shellcheck source-path=SCRIPTDIR source=env.sh
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
load steps packages rust
# shellcheck source=../tests/compose/base/debian.sh
. "$CHECKOUT/tests/compose/base/debian.sh"

has_compose() { docker compose version --short 2>/dev/null | grep -Eq '^v?([2-9]|[1-9][0-9])\.'; }

# Debian 12 has only Compose v1. Debian 13's package needs nothing but libc: apt fetches and checks it from the same
# mirror, with lists of its own, and nothing else of Debian 13 comes near this system.
install_compose() {
    local apt=$STATE_DIR/compose/apt options
    if ! is_root || ! have apt-get; then die "docker compose (version 2) is missing: install it, then run make again"; fi
    if apt-cache policy docker-compose | grep -Eq 'Candidate: [2-9]\.'; then
        need_packages "Compose v2" docker-compose
        return
    fi
    mkdir -p "$apt"/{lists,archives}/partial
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(debian_mirror) trixie main" >"$apt/sources.list"
    options=(-o "Dir::Etc::SourceList=$apt/sources.list" -o Dir::Etc::SourceParts=- -o "Dir::State::Lists=$apt/lists"
        -o "Dir::Cache::Archives=$apt/archives" -o "Dir::Cache::pkgcache=" -o "Dir::Cache::srcpkgcache=")
    run_step compose-lists "Reading Debian 13's lists" apt_get "${options[@]}" update
    rm -f "$apt"/archives/docker-compose_*.deb
    # apt's download has no option for a folder.
    (cd "$apt/archives" && run_step compose-download "Downloading Compose v2 from Debian 13" apt_get "${options[@]}" download docker-compose)
    run_step compose "Installing Compose v2" apt_get install -y --no-install-recommends "$apt"/archives/docker-compose_*.deb
    rm -r "$apt"
}

need_rust
have cc || need_packages "a C compiler" gcc libc6-dev
if ! docker info >/dev/null 2>&1; then
    { have docker && have dockerd; } || need_packages "a Docker engine" docker.io iptables
    have debootstrap || need_packages debootstrap debootstrap
fi
has_compose || install_compose
# To cut and slow down the containers' networks.
have tc || need_packages "ip and tc" iproute2

# CI keeps nothing.
if [ -n "${CI:-}" ]; then trap 'rm -rf --one-file-system "$STATE_DIR/compose"' EXIT; fi
cd "$CHECKOUT"
OPERATIONS_COMPOSE_CHECKS=all cargo test --locked -p operations_compose_checks -- "$@"
