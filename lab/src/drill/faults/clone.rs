//! Clones that are cut short, and a replica that is left from another primary.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use crate::doctor::Finding;
use crate::drill::fault::{Fault, Healed, make_demo};
use crate::drill::faults::servers::inode;
use crate::drill::scene::Scene;
use crate::error::{Context, Error};
use crate::role::Role;
use crate::server::{LIMIT, Stop};

/// Kills the making of the replica's clone when it is about so far.
const AT_PERCENT: [u64; 3] = [10, 50, 90];

const PROGRESS: &str = "\
    SELECT coalesce(max(CASE WHEN backup_total > 0 THEN 100 * backup_streamed / backup_total END), 0) \
    FROM pg_stat_progress_basebackup";

/// Throws the replica's data away, and kills three clones of it on their way.
#[derive(Default)]
pub struct CloneKilled {
    killed_at: Vec<u64>,
}

impl CloneKilled {
    /// The fault.
    pub fn fault() -> Box<dyn Fault> {
        Box::new(Self::default())
    }

    /// Begins a clone, and kills all that makes it once it is so far.
    fn kill_at(&mut self, scene: &Scene, percent: u64) -> Result<(), Error> {
        let mut session = scene.session(Role::Primary)?;
        let mut making = scene.making("demo", &[]);
        let child = making.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut child = child.context(|| "run make demo".to_owned())?;
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let far = scene.wait(&format!("a clone to be at {percent} %"), Duration::from_secs(60), || {
            if child.try_wait().is_ok_and(|ended| ended.is_some()) {
                return Ok(None);
            }
            let far = crate::server::text(&mut session, PROGRESS).map_err(|error| error.to_string())?;
            let far: u64 = far.parse().unwrap_or_default();
            if far >= percent { Ok(Some(far)) } else { Err(format!("{far} %")) }
        });
        if let Some(group) = group {
            // It may have ended.
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = child.wait();
        self.killed_at.extend(far?);
        Ok(())
    }
}

impl Fault for CloneKilled {
    fn cause(&mut self, scene: &Scene) -> Result<String, Error> {
        crate::demo::remove_replica(&scene.demo)?;
        Ok("the replica's data were thrown away, and its clone killed (SIGKILL) on its way, three times".to_owned())
    }

    fn heal(&mut self, scene: &Scene, _seen: &Finding) -> Result<Healed, Error> {
        for percent in AT_PERCENT {
            self.kill_at(scene, percent)?;
        }
        make_demo(scene)
    }

    fn check(&mut self, scene: &Scene) -> Result<Vec<String>, Error> {
        let mut wrong = Vec::new();
        if self.killed_at.len() != AT_PERCENT.len() {
            wrong.push(format!("only {} clones could be killed, at {:?} %", self.killed_at.len(), self.killed_at));
        }
        let left = scene.data(Role::Replica).path().with_extension("clone");
        if left.exists() {
            wrong.push(format!("{} is left", left.display()));
        }
        Ok(wrong)
    }
}

/// Puts a new primary in the place of the demo's, and starts the old replica beside it.
#[derive(Default)]
pub struct OtherPrimary {
    primary: u64,
    replica: u64,
    wrong: Vec<String>,
}

impl OtherPrimary {
    /// The fault.
    pub fn fault() -> Box<dyn Fault> {
        Box::new(Self::default())
    }
}

/// Why it cannot be done now.
pub fn refuses_swapped_roles(scene: &Scene) -> Option<String> {
    let swapped = scene.demo.layout.is_swapped();
    swapped.then(|| "a failover has swapped the roles: make failover, then make rejoin, swaps them again".to_owned())
}

/// Where the demo's own primary is while another stands in its place.
fn aside(scene: &Scene) -> PathBuf {
    scene.data(Role::Primary).path().with_extension("aside")
}

/// The demo's own primary again. `own` is its folder's number; what is in its place, if anything, is the drill's.
fn put_back(scene: &Scene, own: u64) -> Result<(), Error> {
    let (primary, owner, aside) = (scene.data(Role::Primary), &scene.demo.layout.owner, aside(scene));
    let number = |path: &Path| owner.files(|| Ok(std::fs::symlink_metadata(path)?.ino())).ok();
    if number(&aside).is_none() {
        return Ok(());
    }
    let lock = crate::demo::lock_demo(&scene.demo.layout, LIMIT)?;
    if number(&aside) != Some(own) || number(primary.path()) == Some(own) || scene.now().layout.is_swapped() {
        return Err(Error::Environment(format!(
            "{} is not what the drill put there, or a failover came in between: nothing was removed",
            aside.display()
        )));
    }
    scene.data(Role::Replica).stop(Stop::Fast, LIMIT)?;
    primary.stop(Stop::Fast, LIMIT)?;
    crate::demo::folders::remove(primary.path(), owner)?;
    owner.files(|| std::fs::rename(&aside, primary.path())).context(|| format!("rename {}", aside.display()))?;
    // The other primary has noted how many rows it began with.
    scene.demo.settings.save(&scene.demo.layout)?;
    drop(lock);
    make_demo(scene).map(drop)
}

impl Fault for OtherPrimary {
    fn stops_the_client(&self) -> bool {
        true
    }

    fn cause(&mut self, scene: &Scene) -> Result<String, Error> {
        self.replica = inode(scene, Role::Replica)?;
        self.primary = inode(scene, Role::Primary)?;
        scene.make("stop", &[])?;
        let (again, own) = (Scene::new(scene.demo.clone(), std::sync::Arc::default(), scene.pace)?, self.primary);
        scene.later("put the demo's primary back", move || put_back(&again, own));
        let (primary, owner, aside) = (scene.data(Role::Primary), &scene.demo.layout.owner, aside(scene));
        let lock = crate::demo::lock_demo(&scene.demo.layout, LIMIT)?;
        let moved = owner.files(|| match aside.symlink_metadata() {
            Ok(_) => Err(std::io::ErrorKind::AlreadyExists.into()),
            Err(_) => std::fs::rename(primary.path(), &aside),
        });
        moved.context(|| format!("rename {} to {}", primary.path().display(), aside.display()))?;
        drop(lock);
        let rows = [("OPERATIONS_TEST_ROWS", "1000")];
        match scene.make("demo", &rows) {
            Ok(_) => self.wrong.push("make demo did not mind a replica of another primary".to_owned()),
            Err(error) if error.to_string().contains("it is a clone of another primary (system identifier ") => {}
            Err(error) => self.wrong.push(format!("make demo did not name the system identifiers: {error}")),
        }
        if inode(scene, Role::Replica)? != self.replica {
            self.wrong.push("the replica's data were thrown away".to_owned());
        }
        start_old_replica(scene)?;
        Ok("a new primary was put in the place of the old one; the old replica was kept, and started".to_owned())
    }

    fn heal(&mut self, scene: &Scene, _seen: &Finding) -> Result<Healed, Error> {
        put_back(scene, self.primary)?;
        Ok(Healed::Typed("(the old primary was put back); make demo".to_owned()))
    }

    fn check(&mut self, _scene: &Scene) -> Result<Vec<String>, Error> {
        Ok(std::mem::take(&mut self.wrong))
    }
}

/// As whoever does not ask the script would.
fn start_old_replica(scene: &Scene) -> Result<(), Error> {
    let data = scene.data(Role::Replica);
    let scheduler = scene.programs.scheduler(&scene.demo.settings.database)?;
    crate::demo::start_server(&scene.demo, &scene.programs, Role::Replica, &data, &scheduler.settings, &[])
}
