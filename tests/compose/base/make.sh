#!/usr/bin/env bash
# Makes the stand-ins for the two base images, where none can be pulled; what ships is built on them by nothing but build
# arguments. Usage, with DOCKER_HOST, PG_MAJOR and the names of the images in the environment: make.sh FOLDER, which is for
# files that are needed meanwhile. Images that are there already are kept. Called by the checks.
# shellcheck source-path=SCRIPTDIR source=debian.sh
set -euo pipefail
shopt -s inherit_errexit
: "${PG_MAJOR:?}" "${POSTGRES_IMAGE:?}" "${RUST_IMAGE:?}" "${ROOT_IMAGE:?}"
base=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
folder=$1

say() { printf '%s\n' "$*"; }
die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}
. "$base/debian.sh"

has_image() { docker image inspect "$1" >/dev/null 2>&1; }

# Debian on its own, of the release in the name of the image, trusting whom this machine trusts.
make_root_image() {
    local root=$folder/root release=${ROOT_IMAGE##*:} mirror scripts
    has_image "$ROOT_IMAGE" && return
    [ "$(id -u)" = 0 ] || die "only root can debootstrap the base image"
    command -v debootstrap >/dev/null || die "debootstrap is missing: run make test-compose"
    say "making the root of Debian $release (debootstrap)"
    mirror=$(debian_mirror)
    # One that is newer than this machine's debootstrap is made as what it comes from.
    scripts=/usr/share/debootstrap/scripts
    scripts=$scripts/$([ -e "$scripts/$release" ] && echo "$release" || echo sid)
    rm -rf --one-file-system "$root"
    debootstrap --variant=minbase --include=ca-certificates "$release" "$root" "$mirror" "$scripts"
    cp /usr/local/share/ca-certificates/*.crt "$root/usr/local/share/ca-certificates/" 2>/dev/null || true
    chroot "$root" update-ca-certificates
    # A mirror may be an older copy of a release that is still made. Its signature is checked all the same; nothing of this image ships.
    echo 'Acquire::Check-Valid-Until "false";' >"$root/etc/apt/apt.conf.d/90operations-test"
    rm -f "$root"/var/cache/apt/archives/*.deb
    tar -C "$root" -c . | docker import - "$ROOT_IMAGE"
    rm -rf --one-file-system "$root"
}

make_postgres_image() {
    make_root_image
    say "making the stand-in for the postgres image"
    docker compose -f "$base/compose.yaml" --progress plain build
}

# The machine's own toolchain where the official rust image has it; no operating system around it is needed.
make_rust_image() {
    local sysroot staging=$folder/rust program
    has_image "$RUST_IMAGE" && return
    say "making the stand-in for the rust image"
    sysroot=$(cd "$base" && rustc --print sysroot)
    rm -rf "$staging"
    mkdir -p "$staging/usr/local/cargo/bin"
    for program in "$sysroot"/bin/*; do
        ln -s "../../rustup/toolchains/machine/bin/${program##*/}" "$staging/usr/local/cargo/bin/"
    done
    tar -C "$staging" -cf "$staging/image.tar" usr
    tar -C "$sysroot" --exclude=./share --transform 's,^\.,usr/local/rustup/toolchains/machine,' -rf "$staging/image.tar" .
    docker import "$staging/image.tar" "$RUST_IMAGE"
    rm -r "$staging"
}

case $POSTGRES_IMAGE in operations-test/*) make_postgres_image ;; esac
make_rust_image
