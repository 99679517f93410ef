//! The native demo, driven as a user drives it: through make, in a DEMO_DIR of its own, on free ports.
//!
//! `cargo test -p operations_demo_checks -- PATTERN` runs the checks whose names contain the pattern; `make test` runs all, as one
//! test, and brings the tools.

mod again;
mod before;
mod drills;
mod end;
mod failover;
mod first_start;
mod other_users;
mod receipt;
mod user;

use std::process::ExitCode;

use operations_lab::checks;
use operations_lab::checks::Check;
use user::User;

const CHECKS: &[Check<User>] = checks! {
    User;
    before: help_names_every_target without_a_demo wrong_pg_config wrong_ports wrong_test_rows taken_port folder_of_somebody_else
        unreadable_password_file servers_for_the_tests_of_an_application;
    other_users: root_follows_no_link_of_the_servers_user data_of_another_container_are_left_alone;
    first_start: init_that_was_cut_short init_that_was_interrupted demo_starts second_demo_says_so rows_are_made_once status_of_a_live_demo
        status_and_doctor_agree doctor_of_a_live_demo asked_where_it_runs psql_from_a_pipe replica_has_the_same_rows rows_grow_and_change roles_and_passwords
        no_password_in_logs;
    drills: drills_are_listed drill_is_refused_by_an_unwell_demo interrupted_drill_heals quick_drills_pass;
    again: stop_and_start_keeps_the_data wrong_password_is_said running_servers_are_left_alone half_up primary_killed lost_slot_heals
        damaged_replica_is_cloned_anew clone_that_was_cut_short promoted_replica_is_left_alone replica_of_another_primary;
    receipt: a_kill_loses_nothing a_hung_server_hangs_nobody;
    failover: what_cannot_be_fenced_is_not_replaced
        a_primary_that_lives_is_not_given_up_for_a_replica_that_is_away a_replica_that_replays_late_is_refused
        half_a_failover_is_undone_or_gone_on_with what_was_held_back_is_lost_and_told
        an_old_primary_that_is_started_by_hand_takes_no_writes rejoin_keeps_what_only_the_old_primary_had
        rejoin_reads_no_table_of_another_role two_primaries_become_one
        an_old_primary_that_comes_back_by_itself_follows one_url_finds_who_takes_writes synchronous_replication_loses_nothing
        writes_that_wait_for_the_replica_are_seen;
    receipt: a_table_of_another_role_is_not_written;
    end: readme_names_only_targets_that_ran sql_of_readme_runs clean_leaves_nothing;
};

fn main() -> ExitCode {
    checks::run("demo", CHECKS)
}
