//! The network between the two servers, cut by the kernel's packet filter.

use std::process::Command;
use std::time::Duration;

use crate::doctor::Finding;
use crate::drill::fault::{Fault, Healed, as_root};
use crate::drill::scene::Scene;
use crate::error::Error;
use crate::role::Role;
use crate::server::finish;

/// A rule of the packet filter, as `iptables` takes it.
type Rule = Vec<String>;

/// Drops what the two servers send each other; nobody is told, as when a cable is pulled.
pub struct NetworkCut {
    rules: Vec<Rule>,
    /// How long it is cut at least.
    cut_for: Duration,
}

impl NetworkCut {
    /// Until it is named.
    pub fn until_seen() -> Box<dyn Fault> {
        Box::new(Self { rules: Vec::new(), cut_for: Duration::ZERO })
    }

    /// For 30 s.
    pub fn for_30_seconds() -> Box<dyn Fault> {
        Box::new(Self { rules: Vec::new(), cut_for: Duration::from_secs(30) })
    }

    /// Why it cannot be done here.
    pub fn refuses(scene: &Scene) -> Option<String> {
        if let Some(why) = as_root(scene) {
            return Some(why);
        }
        // Packets to a port that nobody uses.
        let probe = new_connections(scene, 9);
        let tried = filter("-I", &probe).and_then(|()| filter("-D", &probe));
        tried.err().map(|error| format!("iptables cannot be used: {error}"))
    }
}

/// What the servers' user begins with a port of this machine. Sessions that are open, such as the receipt's, go on.
fn new_connections(scene: &Scene, port: u16) -> Rule {
    let (port, user) = (port.to_string(), scene.demo.layout.owner.uid().to_string());
    words(&["-o", "lo", "-p", "tcp", "--syn", "--dport", &port, "-m", "owner", "--uid-owner", &user, "-j", "DROP"])
}

fn words(words: &[&str]) -> Rule {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn filter(action: &str, rule: &[String]) -> Result<(), Error> {
    let mut command = Command::new("iptables");
    command.args(["-w", action, "OUTPUT"]).args(rule);
    finish(command)?.success().map(drop)
}

fn remove(rules: &[Rule]) -> Result<(), Error> {
    // It may have been removed already.
    rules.iter().filter(|rule| filter("-C", rule).is_ok()).try_for_each(|rule| filter("-D", rule))
}

impl Fault for NetworkCut {
    fn prepare(&mut self, scene: &Scene) -> Result<(), Error> {
        let primary = scene.demo.port(Role::Primary).to_string();
        let receiver = scene.ask(Role::Primary, "SELECT client_port FROM pg_stat_replication LIMIT 1")?;
        // Root hands iptables no word of the server's but a port. Over a socket there is none (-1).
        let port = receiver.parse::<u16>().ok().filter(|port| *port > 0).map(|port| port.to_string());
        let receiver =
            port.ok_or_else(|| Error::Environment(format!("the replica's receiver has no port: {receiver:?}")))?;
        let to_receiver = ["-o", "lo", "-p", "tcp", "--sport", &primary, "--dport", &receiver, "-j", "DROP"];
        let from_receiver = ["-o", "lo", "-p", "tcp", "--sport", &receiver, "--dport", &primary, "-j", "DROP"];
        let new = new_connections(scene, scene.demo.port(Role::Primary));
        self.rules = vec![new, words(&to_receiver), words(&from_receiver)];
        Ok(())
    }

    fn cause(&mut self, scene: &Scene) -> Result<String, Error> {
        let rules = self.rules.clone();
        scene.later("the rules of iptables", move || remove(&rules));
        self.rules.iter().try_for_each(|rule| filter("-I", rule))?;
        Ok("all packets between the two servers were dropped".to_owned())
    }

    fn lasts(&self) -> Duration {
        self.cut_for
    }

    fn heal(&mut self, _scene: &Scene, _seen: &Finding) -> Result<Healed, Error> {
        remove(&self.rules)?;
        Ok(Healed::Typed("(the network was mended)".to_owned()))
    }
}
