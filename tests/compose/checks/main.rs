//! The Compose demo on a real Docker engine, driven as its user drives it: by `docker compose` and through the published ports.
//!
//! `cargo test -p operations_compose_checks -- PATTERN` runs the checks whose names contain the pattern; `make test-compose` runs
//! all, brings the engine, and fails where it can have none. Leaves no container, network, volume or process behind; the images
//! stay, so that the next run is quick.
//!
//! A new check is a function below and its name in the list. It begins with [`Demo::need`] or `down_with_data`, for it may run
//! alone or after one that failed.

mod access;
mod bases;
mod citus;
mod compose;
mod container;
mod contents;
mod demo;
mod engine;
mod failover;
mod faults;
mod ha;
mod ha_faults;
mod image;
mod lab;
mod loads;
mod options;
mod page;
mod programs;
mod refusals;
mod service;
mod start;
mod volumes;

use std::process::ExitCode;

use demo::Demo;
use operations_lab::checks;
use operations_lab::checks::{Check, Group};

const DEMO: &[Check<Demo>] = checks! {
    Demo;
    start: up_from_nothing all_objects rows_grow_and_flip replica_is_equal replica_refuses_writes second_up_changes_nothing
        down_and_up_keep_the_data;
    access: wrong_passwords_are_refused replication_from_outside_is_refused passwords_are_nowhere_to_be_seen;
    faults: r1_primary_killed_under_load idle_job_is_noticed busy_server_that_tells_its_sums_later_is_healthy r3_replica_killed_for_a_minute r7_network_cut_for_half_a_minute
        r9_disk_full r14_stop_while_jobs_run;
    lab: lab_sees_that_all_is_well lab_has_no_way_to_docker drills_run_beside_the_servers;
    page: page_and_metrics_are_served;
    options: three_replicas replicas_that_start_at_once_find_their_numbers_again jobs_insert_as_many_operations_as_are_set passwords_from_files;
    image: defaults_are_as_documented monitoring_is_as_documented compose_files_fit_together image_has_no_toolchain image_has_the_extension_of_the_checkout
        source_change_keeps_the_dependencies image_is_made_of_packages;
    loads: loads_leave_sound_tables_and_indexes;
    refusals: first_start_logs_no_error other_names_than_those_of_the_data_are_refused rows_that_are_no_number_are_refused
        a_batch_that_is_no_number_is_refused slot_lost_while_the_replica_runs_heals promoted_replica_lives_alone;
};

/// Servers that change their parts.
const FAILOVER: &[Check<Demo>] = checks! {
    Demo;
    failover: failover_and_back old_primary_that_returns_takes_no_writes killed_and_cut_off_primaries_are_fenced
        primary_that_cannot_be_fenced_is_left_alone two_primaries_heal_and_the_rows_are_kept
        old_primary_is_cloned_where_it_cannot_be_rewound synchronous_replication_loses_nothing;
    lab: replica_that_left_is_forgotten;
};

/// Volumes that are empty, half made, or another's; then three servers under Patroni, and a cluster of Citus, which leave the demo so.
const CLUSTERS: &[Check<Demo>] = checks! {
    Demo;
    volumes: first_start_cut_short_is_done_over failing_init_fails_the_start r4_clone_killed r6_replica_of_another_primary;
    ha: cluster_starts_under_patroni passwords_of_a_cluster_are_nowhere_to_be_seen switchover_loses_nothing killed_leader_is_replaced;
    ha_faults: cut_off_leader_gives_up_before_another_leads frozen_leader_loses_its_sessions hung_patroni_ends_its_container without_etcd_nobody_leads
        paused_cluster_promotes_nobody killed_leader_loses_neither_rows_nor_slots;
    citus: base_without_citus_is_refused citus_starts_with_two_workers passwords_of_the_nodes_are_nowhere_to_be_seen
        what_cannot_hold_on_citus_is_refused killed_worker_comes_back citus_keeps_its_data citus_start_cut_short_is_done_over
        workers_of_another_coordinator_are_left_alone;
};

fn main() -> ExitCode {
    checks::run_at_once(
        "compose",
        &[Group::new("demo", DEMO), Group::new("failover", FAILOVER), Group::new("clusters", CLUSTERS)],
    )
}
