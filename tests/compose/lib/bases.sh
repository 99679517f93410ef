# shellcheck shell=bash
# Sourced by ../run: stand-ins for the two base images, since none can be pulled here. What ships is built on them by
# nothing but build arguments. See ../base.

export PG_MAJOR=17
export POSTGRES_IMAGE=operations-test/postgres:17-trixie RUST_IMAGE=operations-test/rust:machine
export ROOT_IMAGE=operations-test/root:trixie

has_image() { docker image inspect "$1" >/dev/null 2>&1; }

# Debian 13 on its own, trusting whom this machine trusts.
make_root_image() {
    local root=$state/root mirror
    has_image "$ROOT_IMAGE" && return
    [ "$(id -u)" = 0 ] || die "only root can debootstrap the base image"
    command -v debootstrap >/dev/null || install_packages debootstrap
    say "making the Debian 13 root (debootstrap)"
    mirror=$(debian_mirror)
    rm -rf --one-file-system "$root"
    debootstrap --variant=minbase --include=ca-certificates trixie "$root" "$mirror" \
        >>"$log" 2>&1 || die "debootstrap failed: see $log"
    cp /usr/local/share/ca-certificates/*.crt "$root/usr/local/share/ca-certificates/" 2>/dev/null || true
    chroot "$root" update-ca-certificates >>"$log" 2>&1
    rm -f "$root"/var/cache/apt/archives/*.deb
    tar -C "$root" -c . | docker import - "$ROOT_IMAGE" >>"$log"
    rm -rf --one-file-system "$root"
}

make_postgres_image() {
    say "making the stand-in for the postgres image"
    docker compose -f "$here/base/compose.yaml" --progress plain build >>"$log" 2>&1 ||
        die "the stand-in for the postgres image could not be built: see $log"
}

# The machine's own toolchain where the official rust image has it; no operating system around it is needed.
make_rust_image() {
    local sysroot staging=$state/rust program
    has_image "$RUST_IMAGE" && return
    say "making the stand-in for the rust image"
    sysroot=$(cd "$here" && rustc --print sysroot)
    rm -rf "$staging"
    mkdir -p "$staging/usr/local/cargo/bin"
    for program in "$sysroot"/bin/*; do
        ln -s "../../rustup/toolchains/machine/bin/${program##*/}" "$staging/usr/local/cargo/bin/"
    done
    tar -C "$staging" -cf "$staging/image.tar" usr
    tar -C "$sysroot" --exclude=./share --transform 's,^\.,usr/local/rustup/toolchains/machine,' -rf "$staging/image.tar" .
    docker import "$staging/image.tar" "$RUST_IMAGE" >>"$log"
    rm -r "$staging"
}

need_bases() {
    make_root_image
    make_postgres_image
    make_rust_image
}
