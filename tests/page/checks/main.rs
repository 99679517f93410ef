//! The live page in a real browser, beside a demo: what it shows, that it moves by itself, and that it sees what is broken.
//!
//! `cargo test -p operations_page_checks -- PATTERN` runs the checks whose names contain the pattern, or a group; `make test` runs
//! `page_in_a_browser` and `readers_in_a_browser`, `make test-long` the other one, and brings the tools. Screenshots are kept in `.state/page/`;
//! `OPERATIONS_PICTURE=docs/page.png` makes that of README anew, and nothing else.

mod browser;
mod connection;
mod driver;
mod failover;
mod faults;
mod first;
mod last;
mod looks;
mod moves;
mod picture;
mod pixels;
mod readers;
mod session;
mod viewer;

use std::process::ExitCode;

use operations_lab::checks;
use operations_lab::checks::Group;
use viewer::Viewer;

const GROUPS: &[Group<Viewer>] = &[
    Group::new(
        "page_in_a_browser",
        checks! {
            Viewer;
            first: verdict_servers_and_panels_are_there every_plot_can_be_heard what_servers_say_is_no_html;
            moves: plots_move_by_themselves one_cursor_shows_the_same_moment_in_all_plots ranges_change_all_plots;
            connection: a_hung_program_is_said_and_comes_back a_killed_program_is_said_and_comes_back;
            faults: paused_replay_is_seen dropped_jobs_are_seen a_killed_replica_is_seen;
            failover: new_roles_come_without_a_reload;
            looks: wide_and_narrow_light_and_dark texts_have_contrast;
            last: nothing_leaves_the_page the_console_has_no_error;
        },
    ),
    Group::new(
        "readers_in_a_browser",
        checks! {
            Viewer;
            readers: who_follows_whom_and_how_far_each_is a_server_looks_the_same_everywhere slots_stand_by_their_servers
                one_server_can_be_chosen colours_are_told_apart many_servers_wide_and_narrow;
            looks: texts_have_contrast;
            last: nothing_leaves_the_page the_console_has_no_error;
        },
    )
    .after(("three_replicas_come", readers::three_replicas_come)),
    Group::new(
        "drills_in_a_browser",
        checks! {
            Viewer;
            faults: every_quick_drill_is_seen;
            last: nothing_leaves_the_page the_console_has_no_error;
        },
    ),
];

const PICTURE: &[Group<Viewer>] = &[Group::new("picture", checks! { Viewer; picture: picture_of_readme; })];

fn main() -> ExitCode {
    checks::run("page", if picture::wanted().is_some() { PICTURE } else { GROUPS })
}
