# shellcheck shell=bash
# Sourced by ../run: a Docker engine with Compose v2. The machine's own when one runs; otherwise Debian's docker.io,
# started here on a socket and a data folder of its own, and stopped at the end.

apt_get() { DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 "$@"; }

install_packages() {
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        die "$* missing: install it, or run this as root on Debian"
    fi
    say "installing $*"
    apt_get install --no-install-recommends "$@" >>"$log" 2>&1 ||
        { apt_get update >>"$log" 2>&1 && apt_get install --no-install-recommends "$@" >>"$log" 2>&1; } ||
        die "apt could not install $*: see $log"
}

has_compose() { docker compose version --short 2>/dev/null | grep -Eq '^v?([2-9]|[1-9][0-9])\.'; }

# Debian 12 has only Compose v1. Debian 13's package needs nothing but libc: apt fetches and checks it from the same
# mirror, with lists of its own, and nothing else of Debian 13 comes near this system.
install_compose() {
    local apt=$state/apt mirror options
    if apt-cache policy docker-compose | grep -Eq 'Candidate: [2-9]\.'; then
        install_packages docker-compose
        return
    fi
    say "installing Compose v2 from Debian 13"
    mirror=$(debian_mirror)
    mkdir -p "$apt"/{lists,archives}/partial
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" >"$apt/sources.list"
    options=(-o "Dir::Etc::SourceList=$apt/sources.list" -o Dir::Etc::SourceParts=- -o "Dir::State::Lists=$apt/lists"
        -o "Dir::Cache::Archives=$apt/archives" -o "Dir::Cache::pkgcache=" -o "Dir::Cache::srcpkgcache=")
    apt_get "${options[@]}" update >>"$log" 2>&1 || die "apt could not read Debian 13's lists: see $log"
    (cd "$apt/archives" && rm -f docker-compose_*.deb && apt_get "${options[@]}" download docker-compose) >>"$log" 2>&1 ||
        die "apt could not download docker-compose: see $log"
    apt_get install --no-install-recommends "$apt"/archives/docker-compose_*.deb >>"$log" 2>&1 ||
        die "docker-compose could not be installed: see $log"
    rm -r "$apt"
}

# The mirror that apt uses for Debian itself.
debian_mirror() {
    # shellcheck disable=SC2016 # apt expands it
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' 'Component: main' |
        sed -n 1p | grep . || die "apt knows no Debian mirror: is this Debian?"
}

start_engine() {
    run_dir=$(mktemp -d /run/operations-test.XXXXXX)
    export DOCKER_HOST=unix://$run_dir/docker.sock
    say "starting a Docker engine (data in $state/docker)"
    mkdir -p "$state/docker"
    setsid dockerd --data-root "$state/docker" --exec-root "$run_dir/exec" --pidfile "$run_dir/docker.pid" \
        --host "$DOCKER_HOST" </dev/null >"$state/dockerd.log" 2>&1 &
    engine=$!
    await 60 "the Docker engine (log: $state/dockerd.log)" docker info
}

stop_engine() {
    [ -n "${engine:-}" ] || return 0
    kill "$engine" 2>/dev/null || true
    await 60 "the Docker engine to stop" engine_is_gone
    ip link delete docker0 2>/dev/null || true
    rm -rf "$run_dir"
}

engine_is_gone() { ! kill -0 "$engine" 2>/dev/null; }

need_engine() {
    if ! docker info >/dev/null 2>&1 && ! command -v dockerd >/dev/null; then
        install_packages docker.io iptables
    fi
    has_compose || install_compose
    command -v psql >/dev/null || install_packages postgresql-client
    # To cut, slow down and look into the containers' networks and processes.
    command -v tc >/dev/null || install_packages iproute2
    command -v pgrep >/dev/null || install_packages procps
    docker info >/dev/null 2>&1 || start_engine
    say "engine $(docker version --format '{{.Server.Version}}'), Compose $(docker compose version --short)"
}
