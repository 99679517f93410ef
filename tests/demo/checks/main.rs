//! The native demo, driven as a user drives it: through make, in a DEMO_DIR of its own, on free ports.
//!
//! Each group of checks has a demo of its own, and nextest runs the groups at once. `cargo test -p operations_demo_checks -- PATTERN` runs
//! the checks whose names contain the pattern, or a group; `make test` runs all, and brings the tools.

mod again;
mod before;
mod drills;
mod failover;
mod first_start;
mod installed;
mod load;
mod monitoring;
mod other_users;
mod page;
mod page_faults;
mod prometheus;
mod readers;
mod readme;
mod receipt;

use std::process::ExitCode;

use operations_demo_checks as user;
use operations_lab::checks;
use operations_lab::checks::{Check, Group};
use user::User;

const DEMO: Check<User> = ("demo_starts", first_start::demo_starts);

const GROUPS: &[Group<User>] = &[
    Group::new("no_demo", checks! {
        User;
        before: help_names_every_target a_target_that_there_is_none_of
            cargo_is_asked_when_a_source_has_changed without_a_checkout wrong_ports wrong_test_rows wrong_reclone without_a_demo
            wrong_pg_config wrong_major taken_port folder_of_somebody_else unreadable_password_file
            servers_for_the_tests_of_an_application;
        other_users: root_follows_no_link_of_the_servers_user data_of_another_container_are_left_alone;
        installed: what_is_installed_is_used;
        first_start: init_that_was_cut_short init_that_was_interrupted start_after_a_cut_one_begins_anew;
    }),
    Group::new("running", checks! {
        User;
        first_start: second_demo_says_so rows_are_made_once status_of_a_live_demo status_and_doctor_agree doctor_of_a_live_demo
            asked_where_it_runs psql_from_a_pipe replica_has_the_same_rows rows_grow_and_change roles_and_passwords
            no_password_in_logs;
        readme: sql_of_readme_runs;
        first_start: clean_leaves_nothing;
    })
    .after(DEMO),
    Group::new("drills", checks! {
        User;
        drills: drills_are_listed drill_is_refused_by_an_unwell_demo interrupted_drill_heals quick_drills_pass;
    })
    .after(DEMO),
    Group::new("restarts", checks! {
        User;
        again: stop_and_start_keeps_the_data wrong_password_is_said data_of_another_major_are_refused running_servers_are_left_alone half_up primary_killed
            lost_slot_heals lost_slot_heals_by_itself damaged_replica_is_cloned_anew clone_that_was_cut_short promoted_replica_is_left_alone
            replica_of_another_primary;
    })
    .after(DEMO),
    Group::new("failover", checks! {
        User;
        receipt: a_kill_loses_nothing a_hung_server_hangs_nobody;
        failover: what_cannot_be_fenced_is_not_replaced
            a_primary_that_lives_is_not_given_up_for_a_replica_that_is_away a_replica_that_replays_late_is_refused
            half_a_failover_is_undone_or_gone_on_with what_was_held_back_is_lost_and_told
            an_old_primary_that_is_started_by_hand_takes_no_writes rejoin_keeps_what_only_the_old_primary_had
            rejoin_reads_no_table_of_another_role two_primaries_become_one what_cannot_be_rewound_is_cloned
            an_old_primary_that_comes_back_by_itself_follows a_rejoin_that_was_killed_is_done_over one_url_finds_who_takes_writes
            synchronous_replication_loses_nothing writes_that_wait_for_the_replica_are_seen;
        receipt: a_table_of_another_role_is_not_written;
    })
    .after(DEMO),
    Group::new("load", checks! {
        User;
        load: load_comes_at_the_rate each_script_does_its_work wrong_loads_are_refused load_needs_no_superuser
            interrupted_load_says_what_it_did servers_are_loaded_by_their_urls a_primary_is_loaded_without_its_replica
            commands_of_the_page_run jobs_insert_as_many_operations_as_are_set who_takes_writes_is_loaded;
    })
    .after(DEMO),
    Group::new("monitoring", checks! {
        User;
        monitoring: promtool_finds_nothing promtool_finds_nothing_in_the_metrics each_panel_and_alert_has_samples
            alerts_fire_and_cease;
    })
    .after(DEMO),
    Group::new("page", checks! {
        User;
        page: the_page_is_served metrics_are_whole_and_true the_role_of_the_page_may_only_look other_servers_are_one_line_each
            a_taken_lab_port_is_said fifty_pages_and_slow_readers;
        page_faults: a_server_that_hangs_is_seen_within_3_s a_server_that_is_killed_is_seen_and_comes_back a_failing_job_is_told
            the_page_shows_the_new_roles;
    })
    .after(DEMO),
    Group::new("readers", checks! {
        User;
        readers: wrong_numbers_of_replicas a_row_is_on_all_replicas the_page_knows_all_replicas examples_of_the_page_connect
            a_replica_that_is_killed_is_named readers_share_a_load a_failover_leads_the_others
            a_replica_that_was_promoted_stays haproxy_sends_each_to_the_right_servers stop_and_start_keeps_all_replicas
            replicas_cascade fewer_replicas_leave_nothing_behind;
        first_start: clean_leaves_nothing;
    })
    .after(("three_replicas_start", readers::three_replicas_start)),
    Group::new("readme", checks! { User; readme: commands_of_readme_run; }),
];

fn main() -> ExitCode {
    checks::run("demo", GROUPS)
}
