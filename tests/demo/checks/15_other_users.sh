# shellcheck shell=bash disable=SC2154
# Everybody with a password of the demo can be the user who runs the server (COPY .. TO PROGRAM). What that user leaves in its
# folders must not lead root anywhere; nor may a demo take the data of one that lives in another container.

server_user=${SERVER_USER:-postgres}
as_server_user() { setpriv --reuid="$server_user" --regid="$(id -g "$server_user")" --clear-groups "$@"; }

# Root's file and folder, and how they are.
make_victim() {
    [ "$(id -u)" = 0 ] || skip "only root has something to give away"
    mkdir -m 750 "$1"
    echo secret >"$1/file"
    chmod 640 "$1/file"
    truncate -s 30000000 "$1/large"
}
victim() { (cd "$1" && stat -c '%n %U %G %a %s %Y' . && find . -mindepth 1 -printf '%p %u %g %m %s %T@\n' | sort && cksum file); }

plant() { as_server_user ln -sfn "$@"; }

unharmed() { [ "$(victim "$work/victim")" = "$before" ] || { victim "$work/victim"; echo "was: $before"; return 1; }; }

check_root_follows_no_link_of_the_servers_user() {
    local trap=$work/trap name before
    make_victim "$work/victim"
    before=$(victim "$work/victim")

    # A first start in a folder full of links.
    install -d -o "$server_user" -m 755 "$trap" "$trap/run"
    for name in settings settings.new pgpass pgpass.new password.new password.new.new; do plant "$work/victim/file" "$trap/$name"; done
    for name in docker primary.new replica.clone; do plant "$work/victim" "$trap/$name"; done
    plant "$work/victim/file" "$trap.lock" 2>/dev/null || true
    succeeds demo DEMO_DIR="$trap" || { unharmed; return 1; }
    unharmed
    [ -f "$trap/settings" ] && [ ! -L "$trap/settings" ]

    # The log of a server, its lock, and names for what is made new at each start.
    succeeds stop DEMO_DIR="$trap"
    for name in settings.new password.new primary.log.1; do plant "$work/victim/file" "$trap/$name"; done
    as_server_user rm -rf "$trap/docker"
    plant "$work/victim" "$trap/docker"
    as_server_user truncate -s 30000000 "$trap/primary.log"
    succeeds demo DEMO_DIR="$trap"
    unharmed
    succeeds status DEMO_DIR="$trap"
    succeeds stop DEMO_DIR="$trap"
    plant "$work/victim/large" "$trap/primary.log"
    fails demo DEMO_DIR="$trap"
    printed "error: the primary did not start"
    unharmed

    # A process of root's for a server, and links for the data and the folder of the sockets.
    sleep 600 &
    local process=$!
    as_server_user sh -c "echo $process >'$trap/primary/postmaster.pid'"
    succeeds stop DEMO_DIR="$trap"
    printed "The demo is not running"
    kill -0 $process
    as_server_user mv "$trap/primary" "$trap/data"
    plant "$work/victim" "$trap/primary"
    fails status DEMO_DIR="$trap"
    succeeds stop DEMO_DIR="$trap"
    as_server_user rm -rf "$trap/run"
    plant "$work/victim" "$trap/run"
    fails demo DEMO_DIR="$trap"
    printed "error: $trap/run does not belong to the user $server_user"
    unharmed
    succeeds clean DEMO_DIR="$trap"
    unharmed
    kill $process
}

# Shares the folder and the ports' machine with the demo, and sees none of its processes.
elsewhere() { unshare --pid --ipc --fork --mount-proc --kill-child "$@"; }

check_data_of_another_container_are_left_alone() {
    local demo=$work/shared inner server other
    [ "$(id -u)" = 0 ] || skip "only root can make a PID namespace"
    elsewhere true 2>/dev/null || skip "no PID and IPC namespace can be made here"
    mkfifo "$work/end"
    # All processes of a namespace end with its first.
    elsewhere sh -c "make --no-print-directory -C '$checkout' demo DEMO_DIR='$demo' && cat '$work/end'" \
        >"$work/inner.log" 2>&1 </dev/null &
    inner=$!
    becomes yes 300 eval "grep -q 'The demo lives' '$work/inner.log' && echo yes || { kill -0 $inner; echo no; }"
    server=$(cat "$demo/primary/postmaster.pid")
    elsewhere make --no-print-directory -C "$checkout" demo DEMO_DIR="$demo" PRIMARY_PORT="$(a_free_port)" \
        REPLICA_PORT="$(a_free_port)" >"$work/output" 2>&1 </dev/null && { cat "$work/output"; return 1; }
    cat "$work/output"
    printed "is at work in $demo/primary"
    [ "$(cat "$demo/primary/postmaster.pid")" = "$server" ]
    PGPASSWORD=$POSTGRES_PASSWORD "$("$PG_CONFIG" --bindir)/psql" -w -U postgres -h 127.0.0.1 -p "$PRIMARY_PORT" -d operations_db -c 'SELECT 1'

    # Once it is dead its lock is not in the way, though another process of the same user has its number.
    echo >"$work/end"
    wait $inner
    becomes '' 20 processes_in ''
    [ "$(cat "$demo/primary/postmaster.pid")" = "$server" ]
    as_server_user sleep 600 &
    other=$!
    as_server_user sed -i "1s/.*/$other/" "$demo/primary/postmaster.pid" "$demo/primary.lock"
    succeeds demo DEMO_DIR="$demo"
    succeeds clean DEMO_DIR="$demo"
    kill $other
}
