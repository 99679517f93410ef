//! Whole servers that are killed or stopped, and started again.

use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use postgres::Client;

use crate::doctor::Finding;
use crate::drill::fault::{Fault, Healed, make_demo};
use crate::drill::scene::Scene;
use crate::error::{Context, Error};
use crate::role::Role;
use crate::server::{finish, text};

/// SIGKILLs a postmaster, as the kernel does when memory is short.
pub struct Killed {
    role: Role,
    /// How long nobody starts it again.
    away: Duration,
    data: u64,
    timeline: String,
}

impl Killed {
    /// The primary's.
    pub fn primary() -> Box<dyn Fault> {
        Box::new(Self { role: Role::Primary, away: Duration::ZERO, data: 0, timeline: String::new() })
    }

    /// The replica's.
    pub fn replica() -> Box<dyn Fault> {
        Box::new(Self { role: Role::Replica, away: Duration::ZERO, data: 0, timeline: String::new() })
    }

    /// The replica's, which is then away for a minute.
    pub fn replica_for_a_minute() -> Box<dyn Fault> {
        Box::new(Self { role: Role::Replica, away: Duration::from_secs(60), data: 0, timeline: String::new() })
    }
}

const TIMELINE: &str = "SELECT timeline_id FROM pg_control_checkpoint()";

impl Fault for Killed {
    fn prepare(&mut self, scene: &Scene) -> Result<(), Error> {
        self.data = inode(scene, self.role)?;
        self.timeline = scene.ask(Role::Primary, TIMELINE)?;
        Ok(())
    }

    fn cause(&mut self, scene: &Scene) -> Result<String, Error> {
        scene.data(self.role).kill_postmaster()?;
        Ok(format!("the {}'s postmaster was killed (SIGKILL)", self.role))
    }

    fn lasts(&self) -> Duration {
        self.away
    }

    fn heal(&mut self, scene: &Scene, _seen: &Finding) -> Result<Healed, Error> {
        make_demo(scene)
    }

    fn check(&mut self, scene: &Scene) -> Result<Vec<String>, Error> {
        let mut wrong = Vec::new();
        if inode(scene, self.role)? != self.data {
            wrong.push(format!("the {} was made anew", self.role));
        }
        let timeline = scene.ask(Role::Primary, TIMELINE)?;
        if timeline != self.timeline {
            wrong.push(format!("the primary is on timeline {timeline}, and was on {}", self.timeline));
        }
        Ok(wrong)
    }
}

/// Which folder a server's data are in: a new clone is another folder of the same name.
pub fn inode(scene: &Scene, role: Role) -> Result<u64, Error> {
    let data = scene.data(role);
    let found = scene.demo.layout.owner.files(|| std::fs::metadata(data.path()));
    Ok(found.context(|| format!("look at {}", data.path().display()))?.ino())
}

/// How long everything may take to stop while jobs run.
const STOP: Duration = Duration::from_secs(30);

/// Stops everything while jobs run.
#[derive(Default)]
pub struct Stopped {
    wrong: Vec<String>,
    /// Keeps a job at work until the servers are stopped: by itself a run is over within milliseconds.
    holder: Option<Client>,
}

impl Stopped {
    /// The fault.
    pub fn fault() -> Box<dyn Fault> {
        Box::new(Self::default())
    }
}

impl Fault for Stopped {
    fn stops_the_client(&self) -> bool {
        true
    }

    fn prepare(&mut self, scene: &Scene) -> Result<(), Error> {
        // A job at work is what is to be stopped cleanly. Each run of change_status waits for this lock.
        let mut holder = scene.session(Role::Primary)?;
        for statement in ["SET lock_timeout = '15s'", "BEGIN", "LOCK TABLE public.operations IN SHARE MODE"] {
            text(&mut holder, statement)?;
        }
        self.holder = Some(holder);
        let at_work = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE state = 'active' \
                       AND (backend_type LIKE 'operations_ext %' OR query LIKE '%change_status()%') AND pid <> pg_backend_pid())";
        scene.becomes(Role::Primary, at_work, "t", Duration::from_secs(15))
    }

    fn cause(&mut self, scene: &Scene) -> Result<String, Error> {
        let begun = Instant::now();
        scene.make("stop", &[])?;
        let took = begun.elapsed();
        self.holder = None;
        if took > STOP {
            self.wrong.push(format!("stopping took {:.1} s", took.as_secs_f32()));
        }
        for (role, clean) in [(Role::Primary, "shut down"), (Role::Replica, "shut down in recovery")] {
            let state = cluster_state(scene, role)?;
            if state != clean {
                self.wrong.push(format!("the {role} is \"{state}\", not \"{clean}\""));
            }
        }
        Ok(format!(
            "both servers were stopped while a job ran (`make stop`), and ended cleanly in {:.1} s",
            took.as_secs_f32()
        ))
    }

    fn heal(&mut self, scene: &Scene, _seen: &Finding) -> Result<Healed, Error> {
        make_demo(scene)
    }

    fn check(&mut self, _scene: &Scene) -> Result<Vec<String>, Error> {
        Ok(std::mem::take(&mut self.wrong))
    }
}

fn cluster_state(scene: &Scene, role: Role) -> Result<String, Error> {
    let mut control = scene.programs.command("pg_controldata");
    scene.demo.layout.owner.runs(&mut control).arg("-D").arg(scene.data(role).path()).env("LC_ALL", "C");
    let printed = finish(control)?.success()?;
    let state = printed.lines().find_map(|line| line.strip_prefix("Database cluster state:"));
    Ok(state.unwrap_or_default().trim().to_owned())
}
