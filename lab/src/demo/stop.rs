//! Stops the demo, and deletes its data.

use std::path::Path;
use std::time::Duration;

use crate::demo::lock::lock_demo;
use crate::demo::{Demo, folders};
use crate::error::{Context, Error};
use crate::say::say;

/// How long another command may still work on the demo.
const LOCK: Duration = Duration::from_secs(60);

/// Names of what is in a demo's folder; a folder may hold other things.
const OURS: [&str; 9] =
    ["primary", "replica", "receipt", "kept", "docker", "run", "settings", "pgpass", "password.new"];

/// Stops the demo in a folder; the data stay.
pub fn stop(folder: Option<&Path>) -> Result<(), Error> {
    let demo = Demo::as_started(folder)?;
    let _lock = lock_demo(&demo.layout, LOCK)?;
    demo.stop_all()
}

/// Stops the demo in a folder and deletes its data. What was downloaded and built stays.
pub fn clean(folder: Option<&Path>) -> Result<(), Error> {
    let demo = Demo::as_started(folder)?;
    let layout = &demo.layout;
    let lock = lock_demo(layout, LOCK)?;
    demo.stop_all()?;
    if !layout.sockets().exists() {
        say("There is no demo data");
        return Ok(());
    }
    let entries = std::fs::read_dir(&layout.folder).context(|| format!("read {}", layout.folder.display()))?;
    for entry in entries.flatten() {
        if is_ours(&entry.file_name().to_string_lossy()) {
            folders::remove(&entry.path(), &layout.owner)?;
        }
    }
    folders::remove_empty(&layout.folder, &layout.owner);
    drop(lock);
    say(&format!("Deleted the demo's data ({})", layout.folder.display()));
    Ok(())
}

fn is_ours(name: &str) -> bool {
    OURS.iter().any(|ours| name.strip_prefix(ours).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
}

#[cfg(test)]
mod tests {
    use super::is_ours;

    #[test]
    fn only_what_is_ours_is_deleted() {
        for name in ["primary", "primary.log", "replica.clone", "settings.new", "run", "docker", "password.new.new"] {
            assert!(is_ours(name), "{name}");
        }
        for name in ["primaries", "password", "file", "my.settings", "runs"] {
            assert!(!is_ours(name), "{name}");
        }
    }
}
