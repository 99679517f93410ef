//! The signals that a container is sent, passed on to what runs the server.

use std::process::Child;

use rustix::process::{Pid, Signal as Number, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals as Caught;

use crate::error::{Context, Error};

/// Those that are caught.
pub struct Signals(Caught);

/// One of them.
#[derive(Clone, Copy, Debug)]
pub struct Signal(Number);

impl Signals {
    /// From now on they end nothing by themselves.
    pub fn catch() -> Result<Self, Error> {
        Caught::new([SIGHUP, SIGINT, SIGQUIT, SIGTERM]).map(Self).context(|| "catch signals".to_owned())
    }

    /// Those that came since the last time.
    pub fn pending(&mut self) -> impl Iterator<Item = Signal> {
        self.0.pending().filter_map(|number| match number {
            SIGHUP => Some(Signal(Number::HUP)),
            SIGINT => Some(Signal(Number::INT)),
            SIGQUIT => Some(Signal(Number::QUIT)),
            SIGTERM => Some(Signal(Number::TERM)),
            _ => None,
        })
    }
}

impl Signal {
    /// Whether it asks for an end.
    pub fn ends(self) -> bool {
        self.0 != Number::HUP
    }

    /// Sends it on.
    pub fn send_to(self, child: &Child) {
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        // It may have ended by now.
        let _ = pid.map(|pid| kill_process(pid, self.0));
    }
}
