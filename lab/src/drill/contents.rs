//! What the table holds, before and after: no row may be gone, none may have changed, no status may have gone back.

use std::time::Duration;

use crate::drill::scene::Scene;
use crate::error::Error;
use crate::lsn::Lsn;
use crate::role::Role;
use crate::server::{text, value};

/// How long the replica may take to replay what the primary had written.
const REPLAY: Duration = Duration::from_secs(30);

/// The rows up to an id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    up_to: i64,
    rows: String,
    done: i64,
}

impl Contents {
    /// Reads all rows of a server up to an id, by default to the last one.
    pub fn read(scene: &Scene, role: Role, up_to: Option<i64>) -> Result<Self, Error> {
        let mut session = scene.session(role)?;
        let up_to = match up_to {
            Some(id) => id,
            None => value(&mut session, "SELECT coalesce(max(id), 0) FROM public.operations")?,
        };
        let query = format!(
            "SELECT count(*), coalesce(sum(amount), 0), coalesce(bit_xor(hashtextextended(operation_guid::text, id)), 0) \
             FROM public.operations WHERE id <= {up_to}"
        );
        let done = format!("SELECT coalesce(sum(status), 0)::bigint FROM public.operations WHERE id <= {up_to}");
        Ok(Self { up_to, rows: text(&mut session, &query)?, done: value(&mut session, &done)? })
    }

    /// What is no longer so on the primary, and what differs on the replica.
    pub fn compare(&self, scene: &Scene) -> Result<Vec<String>, Error> {
        let mut wrong = self.differs(&Self::read(scene, Role::Primary, Some(self.up_to))?, "the primary");
        let primary = Self::read(scene, Role::Primary, None)?;
        let written: Lsn = scene.ask(Role::Primary, "SELECT pg_current_wal_lsn()")?.parse().unwrap_or(Lsn(0));
        scene.wait(&format!("the replica to replay {written}"), REPLAY, || {
            let replayed = scene.now().ask(Role::Replica, "SELECT pg_last_wal_replay_lsn()");
            let replayed = replayed.map_err(|refusal| refusal.to_string())?;
            if replayed.parse::<Lsn>().is_ok_and(|replayed| replayed >= written) { Ok(()) } else { Err(replayed) }
        })?;
        wrong.extend(primary.differs(&Self::read(scene, Role::Replica, Some(primary.up_to))?, "the replica"));
        Ok(wrong)
    }

    fn differs(&self, later: &Self, server: &str) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.rows != later.rows {
            wrong.push(format!(
                "the rows up to id {} (count|sum|hash) were {}, and on {server} are {}",
                self.up_to, self.rows, later.rows
            ));
        }
        if self.done > later.done {
            wrong.push(format!("{} rows were done, and on {server} {} are", self.done, later.done));
        }
        wrong
    }
}
