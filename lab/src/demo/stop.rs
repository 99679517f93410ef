//! Stops the demo, and deletes its data.

use std::path::Path;
use std::time::Duration;

use crate::demo::lock::lock_demo;
use crate::demo::nodes::is_of_a_further_replica;
use crate::demo::{Demo, folders};
use crate::drill::none_at_work;
use crate::error::{Context, Error};
use crate::receipt;
use crate::say::say;
use crate::serve;

/// How long another command may still work on the demo.
const LOCK: Duration = Duration::from_secs(60);

/// Names of what is in a demo's folder; a folder may hold other things.
const OURS: [&str; 11] =
    ["primary", "replica", "receipt", "serve", "marks", "kept", "docker", "run", "settings", "pgpass", "password.new"];

/// Stops the demo in a folder; the data stay.
pub fn stop(folder: Option<&Path>) -> Result<(), Error> {
    let demo = Demo::as_started(folder)?;
    none_at_work(&demo.layout)?;
    let _lock = lock_demo(&demo.layout, LOCK)?;
    stop_all(&demo)
}

/// The client of the receipt first, for it would note that nobody takes writes.
fn stop_all(demo: &Demo) -> Result<(), Error> {
    receipt::stop(&demo.layout)?;
    serve::stop(&demo.layout)?;
    demo.stop_servers()
}

/// Stops the demo in a folder and deletes its data. What was downloaded and built stays.
pub fn clean(folder: Option<&Path>) -> Result<(), Error> {
    let demo = Demo::as_started(folder)?;
    let layout = &demo.layout;
    none_at_work(layout)?;
    let lock = lock_demo(layout, LOCK)?;
    stop_all(&demo)?;
    if !layout.sockets().exists() {
        say("There is no demo data");
        return Ok(());
    }
    let kept = std::fs::read_dir(layout.folder.join("kept")).map_or(0, Iterator::count);
    let entries = std::fs::read_dir(&layout.folder).context(|| format!("read {}", layout.folder.display()))?;
    for entry in entries.flatten() {
        if is_ours(&entry.file_name().to_string_lossy()) {
            folders::remove(&entry.path(), &layout.owner)?;
        }
    }
    folders::remove_empty(&layout.folder, &layout.owner);
    drop(lock);
    let of_old_primary = match kept {
        0 => String::new(),
        files => format!(", and {files} files of rows that only an old primary had"),
    };
    say(&format!("Deleted the demo's data ({}){of_old_primary}", layout.folder.display()));
    Ok(())
}

fn is_ours(name: &str) -> bool {
    is_of_a_further_replica(name)
        || OURS.iter().any(|ours| name.strip_prefix(ours).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
}

#[cfg(test)]
mod tests {
    use super::is_ours;

    #[test]
    fn only_what_is_ours_is_deleted() {
        for name in [
            "primary",
            "primary.log",
            "replica.clone",
            "replica_2",
            "replica_9.log",
            "settings.new",
            "run",
            "docker",
            "password.new.new",
        ] {
            assert!(is_ours(name), "{name}");
        }
        for name in ["primaries", "replica_10", "password", "file", "my.settings", "runs"] {
            assert!(!is_ours(name), "{name}");
        }
    }
}
