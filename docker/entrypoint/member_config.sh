#!/usr/bin/env bash
# Prints what Patroni is told: see member.sh. It holds passwords, so it goes into a file that nobody else reads.
set -euo pipefail

# A text of YAML.
text() { printf "'%s'" "${1//\'/\'\'}"; }

bin=$(dirname "$(readlink -f "$(command -v pg_ctl)")")

# These Patroni gives on the command line, to all servers alike, from what it keeps in etcd. The values are those of postgresql.conf.
common_settings() {
    local name value
    for name in max_connections max_worker_processes max_wal_senders max_replication_slots max_prepared_transactions \
        max_locks_per_transaction wal_keep_size track_commit_timestamp; do
        # What it says besides is that there is no postgresql.auto.conf.
        value=$("$bin/postgres" -C "$name" -D /tmp -c config_file=/etc/operations/postgresql.conf 2>/dev/null) || {
            echo "error: $name cannot be read from postgresql.conf" >&2
            return 1
        }
        printf '        %s: %s\n' "$name" "$(text "$value")"
    done
}

# pg_hba.conf has a word for it, and quotes of its own.
role() { printf '"%s"' "${1//\"/\"\"}"; }

common=$(common_settings)
synchronous=false
[ "$SYNC" = off ] || synchronous=true

cat <<END
scope: operations
name: $OPERATIONS_MEMBER
restapi:
  listen: 0.0.0.0:8008
  connect_address: $HOSTNAME:8008
  authentication:
    username: operations
    password: $PATRONI_ETCD3_PASSWORD
etcd3:
  hosts: $ETCDCTL_ENDPOINTS
  username: root
  password: $PATRONI_ETCD3_PASSWORD
bootstrap:
  dcs:
    # Who holds the leader's key has it for ttl seconds; it is renewed every loop_wait. A leader that cannot gives up within
    # retry_timeout, so it has ended before the key has: ttl >= loop_wait + 2 * retry_timeout. 20 is the least that Patroni takes.
    ttl: 20
    loop_wait: 5
    retry_timeout: 5
    # A replica that lacks more is not promoted by itself.
    maximum_lag_on_failover: 1048576
    synchronous_mode: $synchronous
    postgresql:
      use_pg_rewind: true
      use_slots: true
      parameters:
        wal_level: $WAL_LEVEL
$common
  method: operations
  operations:
    command: /usr/local/lib/operations/entrypoint/make_data.sh
    no_params: true
  post_bootstrap: /usr/local/lib/operations/entrypoint/member_init.sh
postgresql:
  listen: '*:5432'
  connect_address: $HOSTNAME:5432
  data_dir: $PGDATA
  bin_dir: $bin
  pgpass: $PGDATA.pgpass
  custom_conf: /etc/operations/postgresql.conf
  use_unix_socket: true
  use_unix_socket_repl: true
  # A clone waits for a checkpoint, which would take minutes else.
  basebackup:
    - checkpoint: fast
  # What cannot be rewound is cloned.
  remove_data_directory_on_rewind_failure: true
  remove_data_directory_on_diverged_timelines: true
  authentication:
    superuser:
      username: $(text "$POSTGRES_USER")
      password: $(text "$POSTGRES_PASSWORD")
    replication:
      username: $(text "$REPLICATION_USER")
      password: $(text "$REPLICATION_PASSWORD")
  parameters:
    unix_socket_directories: /var/run/postgresql
    # pg_cron starts its jobs where no recovery is under way, so on the leader alone.
    shared_preload_libraries: pg_cron
    cron.database_name: $(text "$POSTGRES_DB")
    operations_ext.insert_batch: $OPERATIONS_INSERT_BATCH
    # Half of this without a word, and the leader is asked for one.
    wal_receiver_timeout: 6s
  pg_hba:
    - local all all trust
    - local replication all trust
    - host all all 127.0.0.1/32 trust
    - host all all ::1/128 trust
    - host all all all scram-sha-256
    - $(text "host replication $(role "$REPLICATION_USER") ${REPLICATION_ALLOW:-samenet} scram-sha-256")
END
