//! The native demo, driven as a user drives it: through make, in a DEMO_DIR of its own, on free ports.
//!
//! `cargo test -p operations_demo_checks -- PATTERN` runs the checks whose names contain the pattern; `make test` runs all, as one
//! test, and brings the tools.

mod again;
mod before;
mod end;
mod first_start;
mod other_users;
mod user;

use std::process::ExitCode;

use operations_lab::checks;
use operations_lab::checks::Check;
use user::User;

const CHECKS: &[Check<User>] = checks! {
    User;
    before: help_names_every_target without_a_demo wrong_pg_config wrong_ports wrong_test_rows taken_port folder_of_somebody_else
        unreadable_password_file;
    other_users: root_follows_no_link_of_the_servers_user data_of_another_container_are_left_alone;
    first_start: init_that_was_cut_short init_that_was_interrupted demo_starts second_demo_says_so rows_are_made_once status_of_a_live_demo
        status_and_doctor_agree doctor_of_a_live_demo asked_where_it_runs psql_from_a_pipe replica_has_the_same_rows rows_grow_and_change roles_and_passwords
        no_password_in_logs;
    again: stop_and_start_keeps_the_data wrong_password_is_said running_servers_are_left_alone half_up primary_killed lost_slot_heals
        damaged_replica_is_cloned_anew clone_that_was_cut_short promoted_replica_is_left_alone replica_of_another_primary;
    end: readme_names_only_targets_that_ran sql_of_readme_runs clean_leaves_nothing;
};

fn main() -> ExitCode {
    checks::run("demo", CHECKS)
}
