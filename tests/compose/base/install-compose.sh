#!/usr/bin/env bash
# Installs Compose v2, as root on Debian: install-compose.sh FOLDER, which is made, used for apt's lists, and removed.
# Debian 12 has only Compose v1. Debian 13's package needs nothing but libc: apt fetches and checks it from the same
# mirror, with lists of its own, and nothing else of Debian 13 comes near this system.
set -euo pipefail
apt=${1:?which folder?}
die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}
# shellcheck source-path=SCRIPTDIR source=debian.sh
. "$(dirname "${BASH_SOURCE[0]}")/debian.sh"
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    die "docker compose (version 2) is missing: install it, then run make again"
fi

export DEBIAN_FRONTEND=noninteractive
apt_get() { apt-get -q -o DPkg::Lock::Timeout=300 "$@"; }
if apt-cache policy docker-compose | grep -Eq 'Candidate: [2-9]\.'; then
    apt_get install -y --no-install-recommends docker-compose
    exit
fi
mkdir -p "$apt"/{lists,archives}/partial
trap 'rm -rf "$apt"' EXIT
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(debian_mirror) trixie main" >"$apt/sources.list"
options=(-o "Dir::Etc::SourceList=$apt/sources.list" -o Dir::Etc::SourceParts=- -o "Dir::State::Lists=$apt/lists"
    -o "Dir::Cache::Archives=$apt/archives" -o "Dir::Cache::pkgcache=" -o "Dir::Cache::srcpkgcache=")
apt_get "${options[@]}" update
# apt's download has no option for a folder.
(cd "$apt/archives" && apt_get "${options[@]}" download docker-compose)
apt_get install -y --no-install-recommends "$apt"/archives/docker-compose_*.deb
