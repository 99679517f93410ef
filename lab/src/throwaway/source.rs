//! How a server gets its data, and is started on them.

use std::path::Path;
use std::process::Command;

use crate::server::entrypoint::Entrypoint;
use crate::throwaway::environment::Environment;

/// Where a server's data directory comes from, which decides how it is started.
#[derive(Debug)]
pub(crate) enum Source {
    /// Its own: `postgres` is started.
    Own,
    /// A primary's: the entrypoint is started, which clones where that is due.
    Primary { entrypoint: Entrypoint, extra: Vec<(String, String)> },
}

impl Source {
    /// The command that starts the server, without the setting that names its configuration.
    pub fn command(&self, environment: &Environment, data: &Path) -> Command {
        let Self::Primary { entrypoint, extra } = self else {
            let mut command = environment.program("postgres");
            command.arg("-D").arg(data);
            return command;
        };
        let mut command = Command::new("bash");
        environment.clean(&mut command);
        entrypoint.prepare(&mut command, &environment.owner, &environment.bindir, data);
        command.arg(environment.bindir.join("postgres")).envs(extra.iter().map(|(name, value)| (name, value)));
        command
    }
}
