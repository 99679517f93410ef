#!/usr/bin/env bash
# PostgreSQL out of Debian's packages, with the libraries that it was built with, in a folder of its own. Nothing is installed: what the
# machine has, be it another Debian, stays as it is.
# Usage: postgresql-debian.sh MAJOR RELEASE FOLDER PLACE PATCHELF
# RELEASE is the Debian that has that major version. It is unpacked in FOLDER, which must be empty, and runs when that is called PLACE.
set -euo pipefail
shopt -s inherit_errexit
major=$1 release=$2 folder=$3 place=$4 patchelf=$5

# apt with lists of its own, which knows of no package that is installed. Debian's signature it checks.
apt=$folder/apt
mkdir -p "$apt"/{lists,archives}/partial
: >"$apt/status"
# shellcheck disable=SC2016 # apt expands it
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' 'Component: main' | sed -n 1p)
[ -n "$mirror" ] || {
    echo 'error: apt knows no Debian mirror: is this Debian?' >&2
    exit 1
}
# Their mends of security come by another way, where this machine has it.
# shellcheck disable=SC2016 # apt expands it
security=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian-Security' | sed -n 1p)
key=/usr/share/keyrings/debian-archive-keyring.gpg
{
    echo "deb [signed-by=$key] $mirror $release main"
    [ -z "$security" ] || echo "deb [signed-by=$key] $security $release-security main"
} >"$apt/sources.list"
# What this machine prefers, and what it would let pass, does not count here.
apt_get() {
    apt-get -q -o "Dir::Etc::SourceList=$apt/sources.list" -o Dir::Etc::SourceParts=- -o "Dir::State::Lists=$apt/lists" \
        -o "Dir::Cache::Archives=$apt/archives" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= \
        -o "Dir::State::Status=$apt/status" -o Dir::Etc::Preferences=- -o Dir::Etc::PreferencesParts=- -o APT::Default-Release= \
        -o Acquire::AllowInsecureRepositories=false -o Acquire::AllowWeakRepositories=false -o APT::Get::AllowUnauthenticated=false "$@"
}
apt_get update
wanted=("postgresql-$major" libpq-dev)
# The pg_cron of Debian 12 is too old: it knows no seconds.
[ "$release" = bookworm ] || wanted+=("postgresql-$major-cron")
apt_get install -y --download-only --no-install-recommends "${wanted[@]}"
# What it depends on is compilers.
(cd "$apt/archives" && apt_get download "postgresql-server-dev-$major")

# The libraries, PostgreSQL and its headers. Without a compiler that compiles queries: it is large, and the demo has that off.
for package in "$apt"/archives/*.deb; do
    case ${package##*/} in
    libllvm* | libz3* | libpam-modules* | libpam-runtime* | libperl* | libssl-dev* | postgresql-common* | postgresql-client-common*) ;;
    lib* | postgresql-*) dpkg-deb -x "$package" "$folder" ;;
    esac
done
rm -rf "$apt"
# Nothing of it runs with another's rights.
find "$folder" -type f -perm /6000 -exec chmod ug-s {} +
# Older releases have some of them in /lib.
if [ -d "$folder/lib" ]; then
    cp -a "$folder/lib/." "$folder/usr/lib/"
    rm -r "${folder:?}/lib"
fi
home=$folder/usr/lib/postgresql/$major
rm -rf "$home"/lib/llvmjit*.so "$home/lib/bitcode"

# Its programs are run by the loader of its own libraries, wherever that is.
loader=$(find "$folder/usr/lib" -name 'ld-linux-*.so.*' -path '*-linux-gnu/*' | head -n 1)
libraries=$place${loader#"$folder"}
libraries=${libraries%/*}
for program in "$home"/bin/* "$home/lib/pgxs/src/test/regress/pg_regress"; do
    [ -L "$program" ] || [ "$(head -c 4 "$program" | tail -c 3)" != ELF ] ||
        "$patchelf" --set-interpreter "$libraries/${loader##*/}" --force-rpath --set-rpath "$libraries" "$program"
done
