//! Drills: a real fault on the running demo, timed until the doctor names it and until all is well again, with what it cost.

mod contents;
mod fault;
mod faults;
mod list;
mod page;
mod probe;
mod report;
mod run;
mod scene;

pub use fault::{Drill, Length};
pub use faults::clock::faketime;
pub use list::DRILLS;
pub use page::page;
pub use report::{Report, Verdict, table};
pub use scene::Pace;

use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use strsim::levenshtein as distance;

use crate::demo::{Demo, Layout};
use crate::error::{Context, DemoError, DrillError, Error};
use crate::marks;
use crate::role::Role;
use scene::Scene;

/// A drill by its name.
pub fn find(name: &str) -> Result<&'static Drill, Error> {
    DRILLS
        .iter()
        .find(|drill| drill.name == name)
        .ok_or_else(|| Error::Drill(DrillError::NoDrill { name: name.to_owned(), nearest: nearest(name) }))
}

/// What may have been meant: the names that are least away from this one, if any is near.
fn nearest(name: &str) -> String {
    let away = DRILLS.iter().map(|drill| (distance(name, drill.name), drill.name));
    let near: Vec<_> = away.filter(|(away, known)| *away <= 3 && *away < known.len()).collect();
    let least = near.iter().map(|(away, _)| *away).min();
    let names: Vec<_> = near.iter().filter(|(away, _)| Some(*away) == least).map(|(_, name)| *name).collect();
    if names.is_empty() { String::new() } else { format!(" (did you mean {}?)", names.join(" or ")) }
}

/// Runs drills on the demo in a folder, one after the other; tells each as it ends. `interrupted` ends them, and the demo
/// is healed first.
pub fn run(
    folder: Option<&Path>,
    drills: &[&Drill],
    pace: Pace,
    interrupted: &Arc<AtomicBool>,
    mut tell: impl FnMut(&Report),
) -> Result<Vec<Report>, Error> {
    crate::patroni::refuse("a drill")?;
    let demo = Demo::as_started(folder)?;
    if !demo.is_running(Role::Primary) {
        return Err(DemoError::NotRunning { server: Role::Primary }.into());
    }
    let _lock = lock(&demo.layout)?;
    nothing_aside(&demo)?;
    let mut reports = Vec::new();
    for drill in drills {
        // A failover swaps the roles.
        let scene = Scene::new(Demo::as_started(folder)?, Arc::clone(interrupted), pace)?;
        let report = run::run(&scene, drill)?;
        tell(&report);
        scene.go_on()?;
        reports.push(report);
    }
    Ok(reports)
}

/// One drill at a time: the folder of the sockets is locked, for the demo's own lock is needed to heal it.
fn lock(layout: &Layout) -> Result<File, Error> {
    let sockets = layout.sockets();
    let folder = layout.owner.files(|| File::open(&sockets)).context(|| format!("open {}", sockets.display()))?;
    match folder.try_lock() {
        Ok(()) => Ok(folder),
        Err(TryLockError::WouldBlock) => Err(DrillError::AnotherDrill.into()),
        Err(TryLockError::Error(error)) => Err(error).context(|| format!("lock {}", sockets.display())),
    }
}

/// What a drill sets for the commands that it runs itself.
pub(crate) const OWN: &str = "OPERATIONS_DRILL";

/// Refuses while a drill is at work, but to the drill itself: it would find its demo gone, and could undo nothing.
pub(crate) fn none_at_work(layout: &Layout) -> Result<(), Error> {
    if layout.in_containers || !layout.sockets().is_dir() || std::env::var_os(OWN).is_some() {
        return Ok(());
    }
    match lock(layout) {
        Err(Error::Drill(DrillError::AnotherDrill)) => {
            let name = marks::open(layout, "drill").map(|name| format!(" ({name})")).unwrap_or_default();
            Err(DemoError::Drilled { name }.into())
        }
        // What else is wrong with the folder is said by what needs it.
        _ => Ok(()),
    }
}

/// Refuses while something lies aside that a drill has not put back: the next one would take what is there now for its own.
pub(crate) fn nothing_aside(demo: &Demo) -> Result<(), Error> {
    let folder = &demo.layout.folder;
    let entries = std::fs::read_dir(folder).context(|| format!("read {}", folder.display()))?;
    let aside = entries.flatten().map(|entry| entry.path()).find(|path| path.extension() == Some("aside".as_ref()));
    aside.map_or(Ok(()), |aside| Err(left_aside(aside)))
}

/// What to do with what a killed drill left.
fn left_aside(aside: std::path::PathBuf) -> Error {
    let place = aside.with_extension("");
    let todo = match place.extension() {
        // The WAL that the primary has written since is where the link leads.
        Some(_) => {
            let (data, wal) = (place.with_extension(""), place.with_extension("").join("pg_wal"));
            let (data, wal, aside) = (data.display(), wal.display(), aside.display());
            format!(
                "if {wal} is a link (to FOLDER/disk/pg_wal; after a restart of the machine first mount -o loop FOLDER/image \
                 FOLDER/disk), make stop, cp -a {wal}/. {data}/pg_wal.back, remove the link and rename {data}/pg_wal.back to \
                 {wal}; then make demo, and once it runs remove {aside}"
            )
        }
        None => {
            let (place, aside) = (place.display(), aside.display());
            format!(
                "it is the demo's primary, and {place} is another one that the drill made, unless you know better; make stop, \
                 move {place} away, rename {aside} to {place}, make demo"
            )
        }
    };
    DrillError::LeftAside { aside, todo }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_aside_is_named_with_what_to_do() {
        let primary = left_aside("/demo/primary.aside".into()).to_string();
        assert!(primary.contains("rename /demo/primary.aside to /demo/primary,"), "{primary}");
        let wal = left_aside("/demo/primary.pg_wal.aside".into()).to_string();
        assert!(wal.contains("cp -a /demo/primary/pg_wal/. /demo/primary/pg_wal.back,"), "{wal}");
    }

    #[test]
    fn names_are_unique_and_found() {
        for drill in DRILLS {
            let same = DRILLS.iter().filter(|other| other.name == drill.name).count();
            assert_eq!(same, 1, "{}", drill.name);
            assert!(find(drill.name).is_ok_and(|found| found.line == drill.line));
            assert!(!drill.line.is_empty() && drill.line.len() <= 130, "{}", drill.name);
        }
        let said = |name: &str| find(name).err().map(|error| error.to_string()).unwrap_or_default();
        let known = ": make drill, or operations-lab drill --list, names all";
        assert_eq!(said("nonsense"), format!("there is no drill \"nonsense\"{known}"));
        let meant = format!("there is no drill \"replay-pausd\" (did you mean replay-paused?){known}");
        assert_eq!(said("replay-pausd"), meant);
        assert_eq!(
            [distance("", "ab"), distance("abc", "bc"), distance("abc", "adc"), distance("a", "a")],
            [2, 1, 1, 0]
        );
    }
}
