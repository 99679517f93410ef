//! Servers that are named on the command line.

use clap::Args;
use operations_lab::Error;
use operations_lab::role::Role;
use operations_lab::target::Target;

/// A primary and its replicas, by their URLs.
#[derive(Args)]
pub struct Named {
    /// The primary: a libpq URL or connection string
    #[arg(long, value_name = "URL")]
    primary: Option<String>,

    /// A replica; give it once for each
    #[arg(long, value_name = "URL")]
    replica: Vec<String>,
}

impl Named {
    /// Those that were named; none, where the demo is meant.
    pub fn targets(&self) -> Result<Vec<Target>, Error> {
        let primary = self.primary.iter().map(|url| Target::from_url(Role::Primary, url));
        let replicas = self.replica.iter().map(|url| Target::from_url(Role::Replica, url));
        primary.chain(replicas).collect()
    }
}
