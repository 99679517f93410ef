# shellcheck shell=bash
# Sourced by make.sh and install-compose.sh.

# The mirror that apt uses for Debian itself.
debian_mirror() {
    # shellcheck disable=SC2016 # apt expands it
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' 'Component: main' |
        sed -n 1p | grep . || die "apt knows no Debian mirror: is this Debian?"
}
