# shellcheck shell=bash disable=SC2034
# Sourced by whoever needs a port of 127.0.0.1.

listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Out of the range from which the kernel takes ports for clients.
free_port() {
    local port tries
    for tries in {1..200}; do
        port=$((20000 + RANDOM % 10000))
        listens "$port" || { echo "$port"; return; }
    done
    die "no free port found between 20000 and 30000 after $tries tries"
}
