//! What a drill is: a fault, what the doctor must say of it, how it is healed, and by when.

use std::time::{Duration, Instant};

use crate::demo::Demo;
use crate::doctor::Finding;
use crate::drill::scene::Scene;
use crate::error::Error;
use crate::role::Role;
use crate::server::Signal;

/// A fault that can be caused.
pub trait Fault {
    /// Makes ready what takes long and breaks nothing yet.
    fn prepare(&mut self, _scene: &Scene) -> Result<(), Error> {
        Ok(())
    }

    /// Breaks something; says what.
    fn cause(&mut self, scene: &Scene) -> Result<String, Error>;

    /// When the fault was there, if causing it took long: from then on it is to be seen.
    fn began(&self) -> Option<Instant> {
        None
    }

    /// Whether the receipt's client is stopped with the demo: nobody tries to write then.
    fn stops_the_client(&self) -> bool {
        false
    }

    /// How long it stays broken from the cause, at least.
    fn lasts(&self) -> Duration {
        Duration::ZERO
    }

    /// Mends it as a user would.
    fn heal(&mut self, scene: &Scene, seen: &Finding) -> Result<Healed, Error>;

    /// What should hold afterwards, and does not.
    fn check(&mut self, _scene: &Scene) -> Result<Vec<String>, Error> {
        Ok(Vec::new())
    }
}

/// How a fault was healed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Healed {
    /// Nobody had to do anything.
    ByItself,
    /// Somebody typed this.
    Typed(String),
}

/// Which drills `drills` runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// Over in seconds.
    Quick,
    /// Takes a minute or more.
    Long,
}

/// A drill: what is in the list of drills, and its pass criterion.
#[derive(Clone, Copy)]
pub struct Drill {
    /// Its name, as it is typed.
    pub name: &'static str,
    /// What happens, in a line.
    pub line: &'static str,
    /// The right findings, by code and server: one of them must come.
    pub expects: &'static [(&'static str, Role)],
    /// What the evidence must have, besides.
    pub evidence: &'static str,
    /// How long the finding may take from the cause.
    pub seen_within: Duration,
    /// How long the verdict `ok` may take, from the healing or, where it heals by itself, from the cause.
    pub green_within: Duration,
    /// Whether `drills` runs it.
    pub length: Length,
    /// Whether acknowledged writes may be lost: then the receipt says which.
    pub may_lose: bool,
    /// Whether it needs nothing but sessions, so that it can be run beside servers in containers.
    pub over_sql: bool,
    /// Why it cannot be caused here, if it cannot.
    pub refuses: fn(&Scene) -> Option<String>,
    /// The fault.
    pub fault: fn() -> Box<dyn Fault>,
}

/// For drills that can be run wherever the demo runs.
#[must_use]
pub fn anywhere(_scene: &Scene) -> Option<String> {
    None
}

/// For those that only root can run.
#[must_use]
pub fn as_root(_scene: &Scene) -> Option<String> {
    (!rustix::process::geteuid().is_root()).then(|| "only root can do that".to_owned())
}

impl Drill {
    /// Whether this is the finding that was to come.
    #[must_use]
    pub fn is_right(&self, scene: &Scene, finding: &Finding) -> bool {
        self.expects.iter().any(|(code, role)| {
            // A promotion swaps the roles; a demo that is stopped has none.
            let is_of = |demo: &Demo| finding.server == demo.target(*role).name();
            finding.code == *code
                && finding.evidence.contains(self.evidence)
                && (is_of(&scene.demo) || is_of(&scene.now()) || finding.server == "demo")
        })
    }
}

/// Types the finding's own next command, as it stands, where the finding says it belongs.
pub fn type_next_command(scene: &Scene, seen: &Finding) -> Result<Healed, Error> {
    let command = seen.next_command.as_str();
    let role = match seen.server.starts_with("replica") {
        true => Role::Replica,
        false => Role::Primary,
    };
    if let Some(pid) = command.strip_prefix("kill -CONT ").and_then(|rest| rest.split(' ').next()?.parse().ok()) {
        scene.data(role).signal_process(pid, Signal::CONT)?;
    } else {
        // psql sends one statement after the other, and no remark.
        let statements = command.split(" -- ").next().unwrap_or_default();
        let statements: Vec<_> = statements.split_inclusive(';').collect();
        scene.run(role, &statements)?;
    }
    Ok(Healed::Typed(command.to_owned()))
}

/// `make demo`, which starts what does not run and mends what it can.
pub fn make_demo(scene: &Scene) -> Result<Healed, Error> {
    scene.make("demo", &[])?;
    Ok(Healed::Typed("make demo".to_owned()))
}
