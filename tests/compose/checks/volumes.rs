//! Volumes that are half built, or that do not belong together.

use std::os::unix::fs::PermissionsExt;
use std::time::Instant;

use operations_lab::checkout;
use operations_lab::checks::Outcome;

use crate::bases::DEMO_IMAGE;
use crate::compose::Compose;
use crate::contents::{ROWS, are_equal, at_least, system_identifier};
use crate::demo::{Demo, took_at_most};
use crate::start::all_objects;

/// The demo with one more init file on the primary, as somebody may add one: by its name it comes after all of ours but the last.
pub fn with_init<'a>(demo: &'a Demo, sql: &str) -> Outcome<Compose<'a>> {
    let file = demo.path("extra.sql");
    std::fs::write(&file, format!("{sql}\n"))?;
    // Whatever the umask is, the server's user reads it.
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o644))?;
    std::fs::set_permissions(demo.path(""), PermissionsExt::from_mode(0o755))?;
    let extra = checkout().join("tests/compose/extra-init.yaml");
    Ok(demo.compose().file(extra).env("EXTRA_INIT", file.to_string_lossy()))
}

pub fn first_start_cut_short_is_done_over(demo: &Demo) -> Outcome {
    demo.down_with_data()?;
    // A folder that is there before is no database.
    let make = ["run", "--rm", "--no-deps", "--entrypoint", "install", "postgres_primary", "-d", "-o", "postgres"];
    demo.compose().run(&[&make[..], &["/var/lib/postgresql/data/primary"]].concat())?;
    let endless = with_init(demo, "SELECT pg_catalog.pg_sleep(3600);")?;
    endless.run(&["up", "--detach", "postgres_primary"])?;
    demo.primary().comes_to_say(&["running ", "zz_extra.sql"], 120)?;
    demo.primary().container()?.kill()?;
    demo.compose().up(&[])?;
    demo.primary().log()?.says(&["first start was cut short"])?;
    at_least(demo, ROWS, "100000")?;
    all_objects(demo)
}

pub fn failing_init_fails_the_start(demo: &Demo) -> Outcome {
    let began = Instant::now();
    demo.down_with_data()?;
    let failing = with_init(demo, "SELECT 1 / 0;")?;
    failing.try_run(&["up", "--detach", "--wait", "--wait-timeout", "300"])?.refused("an init file fails")?;
    demo.primary().log()?.says(&["zz_extra.sql:1: ERROR: ", "division by zero"])?;
    took_at_most(began, 120, "the failure")
}

/// Kills the first clone of a replica when it is at about a percentage.
fn kill_clone_at(demo: &Demo, percent: u32) -> Outcome {
    demo.compose().run(&["rm", "--stop", "--force", "postgres_replica"])?;
    // The other containers hold the volume.
    demo.lab().container()?.exec("postgres", &["sh", "-c", "rm -rf /servers/replica/replica_*"])?;
    demo.compose().run(&["up", "--detach", "--no-deps", "postgres_replica"])?;
    let so_far = format!(
        "SELECT pg_catalog.count(*) > 0 FROM pg_catalog.pg_stat_progress_basebackup
         WHERE backup_streamed >= backup_total * {percent} / 100.0"
    );
    demo.primary().comes_to_answer(&format!("a clone at {percent} %"), &so_far, "t", 60)?;
    demo.replica().container()?.kill()
}

pub fn r4_clone_killed(demo: &Demo) -> Outcome {
    demo.need()?;
    let slow = demo.primary().container()?.slow_down()?;
    for percent in [10, 50, 90] {
        kill_clone_at(demo, percent)?;
        demo.compose().run(&["up", "--detach", "--no-deps", "postgres_replica"])?;
        let healed = demo.replica().becomes("healthy", 120);
        healed.map_err(|stop| format!("its clone was killed at {percent} %: {stop:?}"))?;
    }
    drop(slow);
    are_equal(demo)
}

pub fn r6_replica_of_another_primary(demo: &Demo) -> Outcome {
    demo.need()?;
    let old = system_identifier(demo)?;
    demo.compose().run(&["down"])?;
    demo.remove_volume("primary_data")?;
    demo.compose().try_up(&[])?.refused("the replica's volume is another primary's")?;
    demo.replica().log()?.says(&["clone of another primary", &old])?;
    let volume = format!("{}_replica_data:/volume:ro", demo.project);
    let kept = ["run", "--rm", "--volume", &volume, "--entrypoint", "test", &DEMO_IMAGE];
    demo.engine.ask(&[&kept[..], &["-s", "/volume/replica_1/PG_VERSION"]].concat())?;
    demo.compose().run(&["down"])?;
    demo.compose().env("REPLICA_RECLONE", "1").up(&[])?;
    are_equal(demo)?;
    demo.compose().up(&[])
}
