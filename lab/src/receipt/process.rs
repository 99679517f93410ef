//! The client's process: begun with the demo, in the background, as the servers' user.

use std::time::Duration;

use super::record::Record;
use super::{PID, folder, notes};
use crate::demo::{Demo, Layout};
use crate::error::Error;
use crate::moment::Moment;
use crate::server::{Daemon, Signal, try_wait};

/// How long it may take until its first row is acknowledged.
const FIRST: Duration = Duration::from_secs(10);

/// How long it may take to end when it is told to.
const END: Duration = Duration::from_secs(5);

fn resident(layout: &Layout) -> Daemon {
    Daemon::new(&folder(layout), PID, &layout.owner)
}

/// Whether the client of a demo runs.
#[must_use]
pub fn is_running(demo: &Demo) -> bool {
    resident(&demo.layout).pid().is_some()
}

/// Begins the client, if it does not run, and waits for its first row.
pub fn start(demo: &Demo) -> Result<(), Error> {
    if is_running(demo) {
        return Ok(());
    }
    let (layout, folder) = (&demo.layout, folder(&demo.layout));
    crate::demo::folders::owned_folder(&folder, &layout.owner)?;
    let began = Moment::now();
    let (mut child, log) = resident(layout).begin(&["receipt", "--write"], layout.native_folder())?;
    try_wait("the first row of the receipt", FIRST, || {
        if let Ok(Some(status)) = child.try_wait() {
            let said = layout.owner.read(&log).unwrap_or_default();
            return Err(format!("its client ended with {status}: {}", said.trim()));
        }
        let notes = notes(demo).map_err(|error| error.to_string())?;
        let is_new = |at: &Moment| at.since(began) > 0 && at.uptime >= began.uptime;
        match notes.iter().rev().find(|record| matches!(record, Record::Ack(_) | Record::Down(..))) {
            Some(Record::Ack(ack)) if is_new(&ack.at) => Ok(()),
            Some(Record::Down(at, why)) if is_new(at) => Err(why.clone()),
            _ => Err("nothing is acknowledged yet".to_owned()),
        }
    })
}

/// Ends the client. Whether there was one.
pub fn stop(layout: &Layout) -> Result<bool, Error> {
    let client = resident(layout);
    match client.end(Signal::TERM, END) {
        Err(Error::Timeout { .. }) => client.end(Signal::KILL, END),
        ended => ended,
    }
}
