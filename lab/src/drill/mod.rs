//! Drills: a real fault on the running demo, timed until the doctor names it and until all is well again, with what it cost.

mod fault;
mod faults;
mod ledger;
mod list;
mod page;
mod probe;
mod report;
mod run;
mod scene;

pub use fault::{Drill, Length};
pub use list::DRILLS;
pub use page::page;
pub use report::{Report, Verdict, table};

use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::demo::Demo;
use crate::error::{Context, Error};
use crate::role::Role;
use scene::Scene;

/// A drill by its name.
pub fn find(name: &str) -> Result<&'static Drill, Error> {
    DRILLS.iter().find(|drill| drill.name == name).ok_or_else(|| Error::NoDrill {
        name: name.to_owned(),
        known: DRILLS.iter().map(|drill| drill.name).collect::<Vec<_>>().join(", "),
    })
}

/// Runs drills on the demo in a folder, one after the other; tells each as it ends. `interrupted` ends them, and the demo is
/// healed first.
pub fn run(
    folder: Option<&Path>,
    drills: &[&Drill],
    interrupted: &Arc<AtomicBool>,
    mut tell: impl FnMut(&Report),
) -> Result<Vec<Report>, Error> {
    let demo = Demo::as_started(folder)?;
    if !demo.is_running(Role::Primary) {
        return Err(Error::NotRunning { server: Role::Primary });
    }
    let _lock = lock(&demo)?;
    let mut reports = Vec::new();
    for drill in drills {
        // A failover swaps the roles.
        let scene = Scene::new(Demo::as_started(folder)?, Arc::clone(interrupted))?;
        let report = run::run(&scene, drill)?;
        tell(&report);
        scene.go_on()?;
        reports.push(report);
    }
    Ok(reports)
}

/// One drill at a time: the folder of the sockets is locked, for the demo's own lock is needed to heal it.
fn lock(demo: &Demo) -> Result<File, Error> {
    let sockets = demo.layout.sockets();
    let folder = demo.layout.owner.files(|| File::open(&sockets)).context(|| format!("open {}", sockets.display()))?;
    match folder.try_lock() {
        Ok(()) => Ok(folder),
        Err(TryLockError::WouldBlock) => Err(Error::AnotherDrill),
        Err(TryLockError::Error(error)) => Err(error).context(|| format!("lock {}", sockets.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_found() {
        for drill in DRILLS {
            let same = DRILLS.iter().filter(|other| other.name == drill.name).count();
            assert_eq!(same, 1, "{}", drill.name);
            assert!(find(drill.name).is_ok_and(|found| found.line == drill.line));
            assert!(!drill.line.is_empty() && drill.line.len() <= 130, "{}", drill.name);
        }
        assert!(find("nonsense").is_err_and(|error| error.to_string().contains("replay-paused")));
    }
}
