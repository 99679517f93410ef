//! The process that serves a demo's page: begun with the demo, in the background, as the servers' user.

use std::time::Duration;

use super::role::{self, folder};
use crate::demo::{Demo, Layout};
use crate::error::{Error, PageError};
use crate::http;
use crate::server::ports::{free_port, listens};
use crate::server::{Daemon, Signal, try_wait};

/// How long it may take until it answers.
const FIRST: Duration = Duration::from_secs(10);

/// How long it may take to end when it is told to.
const END: Duration = Duration::from_secs(5);

/// The file with its process id.
pub const PID: &str = "pid";

fn resident(layout: &Layout) -> Daemon {
    Daemon::new(&folder(layout), PID, &layout.owner)
}

/// Whether the page of a demo is served.
pub(crate) fn is_running(layout: &Layout) -> bool {
    resident(layout).pid().is_some()
}

/// Begins to serve the page, unless it is served already, and waits until it answers. It is where the demo's settings say.
pub(crate) fn start(demo: &Demo) -> Result<(), Error> {
    role::make(demo)?;
    let layout = &demo.layout;
    let Some(port) = demo.settings.lab_port.filter(|_| !is_running(layout)) else {
        return Ok(());
    };
    if listens(port) {
        let free = free_port(&[demo.settings.primary_port, demo.settings.replica_port])?;
        return Err(PageError::LabPortTaken { port, free }.into());
    }
    let mut arguments = vec!["serve".to_owned(), "--port".to_owned(), port.to_string()];
    for (option, variable) in [("--listen", "LAB_HOST"), ("--names", "LAB_NAMES")] {
        if let Some(value) = std::env::var(variable).ok().filter(|value| !value.is_empty()) {
            arguments.extend([option.to_owned(), value]);
        }
    }
    let (mut child, log) = resident(layout).begin(&arguments, layout.native_folder())?;
    try_wait("the page to answer", FIRST, || {
        if let Ok(Some(status)) = child.try_wait() {
            let said = layout.owner.read(&log).unwrap_or_default();
            let said = said.lines().last().unwrap_or_default();
            return Err(format!("it ended with {status}: {said}"));
        }
        answers(port).map_err(|error| error.to_string())
    })
}

/// Whether a page answers at a port of this machine.
fn answers(port: u16) -> std::io::Result<()> {
    match http::ask(port, "GET", "/healthz", "localhost", Duration::from_secs(2))?.status == 200 {
        true => Ok(()),
        false => Err(std::io::Error::other("it answers, and not as the page does")),
    }
}

/// Ends it. Whether there was one.
pub(crate) fn stop(layout: &Layout) -> Result<bool, Error> {
    let page = resident(layout);
    match page.end(Signal::TERM, END) {
        Err(Error::Timeout { .. }) => page.end(Signal::KILL, END),
        ended => ended,
    }
}
