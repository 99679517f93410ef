//! What others say of the demo while the fault is there: pg_isready, and the two lag queries of exporters.

use std::time::Duration;

use serde::Serialize;

use crate::connect::session;
use crate::drill::scene::Scene;
use crate::role::Role;
use crate::server::{finish, text};

const LIMIT: Duration = Duration::from_secs(3);

/// The lag as a replica tells it.
pub const LAG: &str = "select extract(epoch from now() - pg_last_xact_replay_timestamp())";

/// The lag as the primary tells it.
pub const REPLAY_LAG: &str = "select replay_lag from pg_stat_replication";

/// The answers, or why there were none.
#[derive(Clone, Debug, Serialize)]
pub struct Probes {
    /// `pg_isready` of the primary.
    pub primary_ready: String,
    /// `pg_isready` of the replica.
    pub replica_ready: String,
    /// [`LAG`] on the replica.
    pub lag: String,
    /// [`REPLAY_LAG`] on the primary.
    pub replay_lag: String,
}

impl Probes {
    /// Asks all of them at once.
    #[must_use]
    pub fn take(scene: &Scene) -> Self {
        std::thread::scope(|scope| {
            let programs = &scene.programs;
            let (primary, replica) = (scene.demo.target(Role::Primary), scene.demo.target(Role::Replica));
            let ready = |role: Role| {
                let mut command = programs.command("pg_isready");
                let host = scene.demo.layout.node(role).map_or("127.0.0.1", |node| &node.host);
                command.args(["-h", host, "-t", "3", "-p", &scene.demo.port(role).to_string()]);
                scope.spawn(move || match finish(command) {
                    Ok(ended) => ended.stdout.trim().rsplit_once(" - ").map_or("", |(_, said)| said).to_owned(),
                    Err(error) => error.to_string(),
                })
            };
            let ask = |target: crate::target::Target, query: &'static str, unit: &'static str| {
                scope.spawn(move || match session(&target, LIMIT, LIMIT) {
                    Ok(mut session) => match text(&mut session, query).as_deref() {
                        Ok("") => "no row".to_owned(),
                        Ok("NULL") => "null".to_owned(),
                        Ok(answer) => format!("{}{unit}", shortened(answer)),
                        Err(error) => format!("no answer: {}", first_line(&error.to_string())),
                    },
                    Err(refusal) => format!("no answer: {}", first_line(&refusal.to_string())),
                })
            };
            let (primary_ready, replica_ready) = (ready(Role::Primary), ready(Role::Replica));
            let (lag, replay_lag) = (ask(replica, LAG, " s"), ask(primary, REPLAY_LAG, ""));
            let said = |thread: std::thread::ScopedJoinHandle<'_, String>| thread.join().unwrap_or_default();
            Self {
                primary_ready: said(primary_ready),
                replica_ready: said(replica_ready),
                lag: said(lag),
                replay_lag: said(replay_lag),
            }
        })
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

/// Milliseconds will do.
fn shortened(number: &str) -> String {
    match number.split_once('.') {
        Some((whole, fraction)) => format!("{whole}.{}", fraction.get(..3).unwrap_or(fraction)),
        None => number.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::shortened;

    #[test]
    fn times_are_given_to_the_millisecond() {
        assert_eq!(shortened("2.123456"), "2.123");
        assert_eq!(shortened("00:00:00.5"), "00:00:00.5");
        assert_eq!(shortened("0"), "0");
    }
}
